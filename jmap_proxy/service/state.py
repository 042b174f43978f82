"""How the service is doing: a value."""

from __future__ import annotations

import msgspec


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """What `jmap-proxy service status` tells.

    Attributes:
        path: Of the file that belongs to it.
        installed: Whether the platform or the file tells that there is one.
        untouched: Whether the file is as it was written by this program.
        starts_by_itself: Whether it starts with the session.
        running: Whether it runs now.
        told: What the platform tells of it.
        trouble: Why the platform tells nothing.
    """

    path: str
    installed: bool
    untouched: bool
    starts_by_itself: bool
    running: bool
    told: str = ""
    trouble: str = ""

    def lines(self) -> list[str]:
        """The same for people."""
        if not self.installed:
            lines = ["The service is not installed; run: jmap-proxy service install"]
        else:
            running = "is running" if self.running else "is not running"
            told = f" ({self.told})" if self.told else ""
            start = "starts" if self.starts_by_itself else "does not start"
            lines = [f"The service {running}{told}, and {start} by itself.", f"Its file: {self.path}"]
            if not self.untouched:
                lines.append("That was written or changed by somebody else.")
        return [*lines, f"note: the platform tells nothing: {self.trouble}"] if self.trouble else lines

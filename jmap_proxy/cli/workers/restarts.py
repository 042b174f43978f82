"""When a worker that has ended is replaced. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STEADY = 60.0
"""Seconds; who has lived that long did not end because of how it was started."""

LONGEST = 30.0
"""Seconds between two starts, at most."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """The lives in one worker's place.

    Attributes:
        short: How many in a row ended early.
    """

    short: int = 0

    def after(self, lived: float) -> Restarts:
        """Once more has one ended, that lived so many seconds."""
        return Restarts(self.short + 1 if lived < STEADY else 0)

    @property
    def pause(self) -> float:
        """Seconds until the next start: none after the first early end, then 1, 2, 4 and so on."""
        return 0.0 if self.short <= 1 else min(LONGEST, 2.0 ** min(self.short - 2, 30))

"""What a process does of a running proxy: all of it, unless `serve --workers` has divided the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.cli.listeners import listener_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jmap_proxy.cli.listeners import Answer, Way
    from jmap_proxy.cli.opening import Listening
    from jmap_proxy.config import Config, Limits
    from jmap_proxy.tokens.report import TokenReport

    Reports = Callable[[], Mapping[str, TokenReport]]
    OpenStreams = Callable[[], Mapping[tuple[str, str], int]]


class Role:
    """The role of the only process; the others differ in some of it.

    Attributes:
        is_first: Whether the process does what is done once, however many there are: it answers on the admin
            listener, keeps idle accounts signed in, and logs what a reload has changed.
        is_well: Whether the others are.
    """

    is_first = True

    @property
    def is_well(self) -> bool:
        """Whether there is somebody who serves."""
        return True

    def listener(self, way: Way, limits: Limits) -> Listening:
        """What listens by a way in."""
        return listener_of(way, limits)

    def admin(self, answer: Answer) -> Answer:
        """What answers on the admin listener, made of what knows of this process."""
        return answer

    def reports(self, own: Reports) -> Reports:
        """How the accounts are doing, made of how they are in this process."""
        return own

    def streams(self, own: OpenStreams) -> OpenStreams:
        """The open streams, made of those of this process."""
        return own

    async def agree(self, config: Config, listeners: Mapping[str, Listening]) -> None:
        """All is prepared here to go on with this configuration and these listeners; returns when it is everywhere.

        Raises:
            JmapProxyError: another process cannot.
        """

    async def close(self) -> None:
        """Let the others finish their requests, and end."""

"""Telling the service manager how the program is doing (sd_notify(3)). Without one, nothing is told.

A message is one datagram of lines to the socket that the environment names.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

PATIENCE = 1.0
"""Seconds that a manager gets to take a message; its queue has room for hundreds."""

log = structlog.get_logger("jmap_proxy.cli")


class ServiceManager:
    """The manager that started this process, if it wants to be told anything.

    Args:
        environment: NOTIFY_SOCKET and its like are removed, as they are for this process alone.
        pid: Of this process; a watchdog that is meant for another one is left alone.
        clock: Microseconds of CLOCK_MONOTONIC.

    Attributes:
        watchdog_interval: Seconds between two signs of life, half of what it waits for one; None if it wants none.
    """

    def __init__(
        self,
        environment: MutableMapping[str, str],
        pid: int,
        clock: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
    ) -> None:
        told = {name: environment.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}
        self._address = _address(told["NOTIFY_SOCKET"])
        self._clock = clock
        is_watched = self._address and told["WATCHDOG_PID"] in ("", str(pid))
        self.watchdog_interval = _interval(told["WATCHDOG_USEC"]) if is_watched else None

    def ready(self, status: str) -> None:
        """It is started, or reloaded; `status` is shown to people."""
        self._tell("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """It has begun to end."""
        self._tell("STOPPING=1", "STATUS=letting requests in flight finish")

    @contextmanager
    def reloading(self, status: Callable[[], str]) -> Iterator[None]:
        """While this context is open, it takes up its configuration; `status` is what to show afterwards."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={self._clock()}")
        try:
            yield
        finally:
            self.ready(status())

    async def watch(self, is_well: Callable[[], Awaitable[bool]]) -> None:
        """Give signs of life as long as all is well; for ever, to be cancelled.

        The event loop's own health needs no question: a loop that stands still gives no signs.
        """
        if self.watchdog_interval is None:
            return
        while True:
            if await is_well():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_interval)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
                manager.settimeout(PATIENCE)
                manager.connect(self._address)
                manager.send("\n".join(lines).encode())
        except OSError as error:
            log.warning("the service manager is not told", message=lines[0], error=type(error).__name__)


def _address(text: str) -> str:
    """Of a Unix socket, "" where there is none that is known of; "@" stands for the null byte of an abstract one."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else ""


def _interval(text: str) -> float | None:
    """Half of the watchdog's time, in seconds."""
    return int(text) / 2e6 if text.isascii() and text.isdigit() and int(text) else None

"""Many event streams that wait for an event."""

from __future__ import annotations

import asyncio
import time
from typing import cast
from urllib.parse import urlsplit

EVENT_END = b"\n\n"


class _Stream(asyncio.Protocol):
    """One stream: tells when its head has come, and when an event has."""

    def __init__(self, listeners: Listeners, head: bytes) -> None:
        self._listeners = listeners
        self._head = head
        self._tail = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._listeners.transports.append(stream)
        stream.write(self._head)

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            if not data.startswith(b"HTTP/1.1 200"):
                self._listeners.fail(f"the answer is {data[:200]!r}")
            self._is_open = True
            self._listeners.opened()
            data = data.partition(b"\r\n\r\n")[2]
        self._tail = (self._tail + data)[-200:]
        if b"event: state" in self._tail and EVENT_END in self._tail.partition(b"event: state")[2]:
            self._tail = b""
            self._listeners.arrived()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._listeners.fail(f"a stream has ended: {exc}")


class Listeners:
    """Event streams of one client program.

    Args:
        url: Of the events.
        key: Shown as a bearer token.
    """

    def __init__(self, url: str, key: str) -> None:
        where = urlsplit(url)
        self._address = where.hostname or "", where.port or 80
        self._head = (
            f"GET {where.path}?{where.query} HTTP/1.1\r\nHost: {where.netloc}\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {key}\r\n\r\n"
        ).encode()
        self.transports: list[asyncio.Transport] = []
        self._left = 0
        self._done: asyncio.Future[float] | None = None
        self._closing = False

    async def open(self, number: int, at_once: int = 50) -> None:
        """Open so many streams, and wait until each has begun. Raises RuntimeError."""
        loop = asyncio.get_running_loop()
        for _ in range(0, number, at_once):
            waiting = self._wait_for(at_once)
            for _ in range(at_once):
                await loop.create_connection(lambda: _Stream(self, self._head), *self._address)
            await waiting

    async def next_event(self, number: int) -> float:
        """When the next event has come on the last of so many streams. To be begun before it is sent."""
        return await self._wait_for(number)

    def close(self) -> None:
        """Close all."""
        self._closing = True
        for transport in self.transports:
            transport.abort()

    def opened(self) -> None:
        """A stream has begun."""
        self._count_down()

    def arrived(self) -> None:
        """An event has come on a stream."""
        self._count_down()

    def fail(self, why: str) -> None:
        """Something is wrong."""
        if not self._closing and self._done is not None and not self._done.done():
            self._done.set_exception(RuntimeError(why))

    def _wait_for(self, number: int) -> asyncio.Future[float]:
        self._left, self._done = number, asyncio.get_running_loop().create_future()
        return self._done

    def _count_down(self) -> None:
        self._left -= 1
        if not self._left and self._done is not None and not self._done.done():
            self._done.set_result(time.perf_counter())

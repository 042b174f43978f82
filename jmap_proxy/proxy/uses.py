"""Counting who uses a thing, so that it can be closed when nobody does any more."""

from __future__ import annotations

import asyncio


class Uses:
    """The uses of a thing; each is a context, or goes from `begin` to `end`."""

    __slots__ = ("_count", "_ended")

    def __init__(self) -> None:
        self._count = 0
        self._ended: asyncio.Event | None = None

    def begin(self) -> None:
        """One more."""
        self._count += 1

    def end(self) -> None:
        """One less."""
        self._count -= 1
        if not self._count and self._ended is not None:
            self._ended.set()
            self._ended = None

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()

    async def over(self) -> None:
        """Wait until there is none, which may be a while if others begin meanwhile."""
        while self._count:
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()

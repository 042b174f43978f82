"""Counting who uses a thing, so that it can be closed when nobody does any more."""

from __future__ import annotations

import asyncio


class Uses:
    """The uses of a thing; each is a context."""

    __slots__ = ("_count", "_ended")

    def __init__(self) -> None:
        self._count = 0
        self._ended: asyncio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count and self._ended is not None:
            self._ended.set()

    async def over(self) -> None:
        """Wait until there is none; to be called once nobody can begin another."""
        if self._count:
            self._ended = asyncio.Event()
            await self._ended.wait()

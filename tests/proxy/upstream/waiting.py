"""Connections to servers, and who waits for the first bytes of an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from jmap_proxy.proxy.upstream.connections import Pool


class Waiting:
    """An `Asker` that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self._is_told = asyncio.Event()

    def heard(self, data: bytes) -> None:
        """Note it."""
        self.told.append(data)
        self._is_told.set()

    async def heard_first(self) -> bytes:
        """What it was told, once it was."""
        await self._is_told.wait()
        (data,) = self.told
        return data


@asynccontextmanager
async def pooling(**settings: Any) -> AsyncIterator[Pool]:
    """A pool with these settings."""
    pool = Pool(**settings)
    async with pool:
        yield pool

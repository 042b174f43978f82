"""Request bodies that can be sent again after a 401.

An API request is small and kept in memory. An upload streams upstream while it arrives, and what has gone by is
spooled up to a limit: in memory while it is small, then in a nameless temporary file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from aiofiles.tempfile import SpooledTemporaryFile

from jmap_proxy.errors import BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK = 256 << 10
IN_MEMORY = 1 << 20

log = structlog.get_logger("jmap_proxy.proxy")


class Body(Protocol):
    """A request body.

    Attributes:
        length: Bytes, None where it is not known beforehand (then it is sent chunked).
        replayable: Whether `chunks` can be called again.
    """

    @property
    def length(self) -> int | None:
        """See the class."""

    @property
    def replayable(self) -> bool:
        """See the class."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body from its start; ends an earlier pass."""

    async def close(self) -> None:
        """Free what it holds."""


class BufferedBody:
    """A body in memory."""

    replayable = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body from its start, in pieces that do not hold up the event loop."""
        view = memoryview(self._data)
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])

    async def close(self) -> None:
        """Nothing to free."""


async def read_body(source: AsyncIterator[bytes], length: int | None, limit: int) -> BufferedBody:
    """Read a whole body of `limit` bytes at most.

    Raises:
        BodyTooLarge: it is, or says that it is, larger.
    """
    if length is not None and length > limit:
        raise BodyTooLarge(limit)
    data = bytearray()
    async for chunk in source:
        data += chunk
        if len(data) > limit:
            raise BodyTooLarge(limit)
    return BufferedBody(bytes(data))


class SpooledBody:
    """A body that is passed on while it arrives and can be passed on again while it is at most `limit` bytes.

    Only one pass runs at a time. The lock sees to it that a pass that was cancelled in the middle of a read has come
    to its end before the next one goes on, so that no chunk is lost and none is recorded twice.
    """

    def __init__(self, source: AsyncIterator[bytes], length: int | None, limit: int) -> None:
        self.length = length
        self._source = source
        self._limit = limit
        self._spool: Any = None
        self._recorded = 0
        self._lock = asyncio.Lock()
        self.replayable = limit > 0

    def chunks(self) -> AsyncIterator[bytes]:
        """The body from its start: what was spooled, then what still arrives."""
        return _Pass(self)

    async def close(self) -> None:
        """Remove the spool."""
        async with self._lock:
            self.replayable = False
            await self._drop_spool()

    async def read_at(self, position: int) -> bytes:
        """The next bytes of a pass that has sent `position` bytes; b"" at the end."""
        async with self._lock:
            if position < self._recorded and self._spool is not None:
                await self._spool.seek(position)
                data: bytes = await self._spool.read(min(CHUNK, self._recorded - position))
                return data
            chunk = await anext(self._source, b"")
            if chunk and self.replayable:
                # Shielded: a chunk that was taken from the client is recorded, whoever goes away meanwhile.
                recording = asyncio.ensure_future(self._record(chunk))
                try:
                    await asyncio.shield(recording)
                except asyncio.CancelledError:
                    await recording
                    raise
            return chunk

    async def _record(self, chunk: bytes) -> None:
        try:
            if self._recorded + len(chunk) <= self._limit:
                if self._spool is None:
                    self._spool = await SpooledTemporaryFile(max_size=IN_MEMORY)
                await self._spool.seek(self._recorded)
                await self._spool.write(chunk)
                self._recorded += len(chunk)
                return
        except OSError as error:  # a full disk costs the replay, not the upload
            log.warning("upload cannot be spooled", error=error.strerror)
        self.replayable = False
        await self._drop_spool()

    async def _drop_spool(self) -> None:
        if self._spool is not None:
            await self._spool.close()
            self._spool = None


class _Pass:
    """One pass over a spooled body. A class, since a generator that is left in the middle would not end at once."""

    def __init__(self, body: SpooledBody) -> None:
        self._body = body
        self._position = 0

    def __aiter__(self) -> _Pass:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._body.read_at(self._position)
        if not chunk:
            raise StopAsyncIteration
        self._position += len(chunk)
        return chunk

"""Request bodies that can be sent again after a 401.

An API request is small and kept in memory. An upload streams upstream while it arrives, and what has gone by is
spooled up to a limit: in memory while it is small, then in a nameless temporary file.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog
from aiofiles.tempfile import SpooledTemporaryFile
from aiohttp import web

from jmap_proxy.errors import BodyTimeout, BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from aiofiles.threadpool.binary import AsyncBufferedReader
    from aiohttp import StreamReader

_T = TypeVar("_T")

CHUNK = 256 << 10
IN_MEMORY = 1 << 20

log = structlog.get_logger("jmap_proxy.proxy")


class Body(Protocol):
    """A request body.

    Attributes:
        length: Bytes, None where it is not known beforehand (then it is sent chunked).
        whole: All of it where it is in memory, else None.
    """

    @property
    def length(self) -> int | None:
        """See the class."""

    @property
    def whole(self) -> bytes | None:
        """See the class."""

    async def can_replay(self) -> bool:
        """Whether `chunks` can be called again; a pass that was cancelled has come to its end afterwards."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body from its start.

        The caller has left an earlier pass behind: aiohttp cancels the task that sends a body when the answer to its
        request is closed.
        """

    async def close(self) -> None:
        """Free what it holds."""


class BufferedBody:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self.whole = data
        self.length = len(data)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body from its start, in pieces that do not hold up the event loop."""
        view = memoryview(self.whole)
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])

    async def can_replay(self) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """Nothing to free."""


class ArrivingBody:
    """A client's body, piece by piece as it comes.

    Args:
        content: Where it arrives.
        patience: Seconds that the client may be silent; only time spent waiting for the client counts.
        ask: Asks the client to go on, if it waits for that (RFC 9110 §10.1.1): done once, before the first piece.

    Attributes:
        failure: Why it will not come to its end, None while that is not known. Whoever passes the body on gets to see
            only that the passing on has failed.
    """

    def __init__(
        self, content: StreamReader, patience: float, ask: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.failure: BodyTimeout | web.RequestPayloadError | None = None
        self._ask = ask
        self._content = content
        self._patience = patience

    def __aiter__(self) -> ArrivingBody:
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            BodyTimeout: the client is silent.
            RequestPayloadError: its chunks cannot be read.
        """
        ask, self._ask = self._ask, None
        if ask is not None:
            await ask()
        try:
            async with asyncio.timeout(self._patience):
                chunk = await self._content.readany()
        except TimeoutError:
            self.failure = BodyTimeout(self._patience)
            raise self.failure from None
        except web.RequestPayloadError as error:
            self.failure = error
            raise
        if not chunk:
            raise StopAsyncIteration
        return chunk


def check_length(length: int | None, limit: int) -> None:
    """See that a body does not say that it is larger than `limit` bytes. Raises BodyTooLarge."""
    if length is not None and length > limit:
        raise BodyTooLarge(limit)


def whole_body(data: bytes, limit: int) -> BufferedBody:
    """A body that is here, of `limit` bytes at most. Raises BodyTooLarge."""
    check_length(len(data), limit)
    return BufferedBody(data)


async def read_body(source: AsyncIterator[bytes], limit: int) -> BufferedBody:
    """Read a whole body of `limit` bytes at most. Raises BodyTooLarge."""
    data = bytearray()
    async for chunk in source:
        data += chunk
        check_length(len(data), limit)
    return BufferedBody(bytes(data))


class SpooledBody:
    """A body that is passed on while it arrives and can be passed on again while it is at most `limit` bytes.

    Args:
        source: The body as it arrives.
        length: Its bytes, None if that is not known.
        limit: Bytes that are kept.
        folder: Where they are kept, in a file that has no name; "" for the system's folder of temporary files, which
            may be memory.

    Only one pass runs at a time. A step of a pass that is cancelled comes to its end before the lock is free for the
    next pass, so that no chunk is lost and none is recorded twice.
    """

    whole = None

    def __init__(self, source: AsyncIterator[bytes], length: int | None, limit: int, folder: str = "") -> None:
        self.length = length
        self._source = source
        self._limit = limit
        self._folder = folder or None
        self._spool: AsyncBufferedReader | None = None
        self._spooled = 0
        self._at = 0
        self._taken = 0
        self._lock = asyncio.Lock()

    async def can_replay(self) -> bool:
        """Whether all that was taken from the client is spooled."""
        async with self._lock:
            return self._spooled == self._taken

    def chunks(self) -> AsyncIterator[bytes]:
        """The body from its start: what was spooled, then what still arrives."""
        return _Pass(self)

    async def close(self) -> None:
        """Remove the spool."""
        async with self._lock:
            await self._drop_spool()

    async def read_at(self, position: int) -> bytes:
        """The next bytes of a pass that has sent `position` bytes; b"" at the end.

        Raises:
            ValueError: they are gone.
        """
        async with self._lock:
            if self._spool is not None and position < self._spooled:
                return await _to_its_end(self._replay(self._spool, position))
            if position != self._taken:
                raise ValueError("this part of the body is not kept")
            chunk = await anext(self._source, b"")
            self._taken += len(chunk)
            if chunk and self._spooled == position:
                await _to_its_end(self._record(chunk))
            return chunk

    async def _replay(self, spool: AsyncBufferedReader, position: int) -> bytes:
        await self._seek(spool, position)
        chunk = await spool.read(min(CHUNK, self._spooled - position))
        self._at = position + len(chunk)
        return chunk

    async def _record(self, chunk: bytes) -> None:
        try:
            if self._taken <= self._limit:
                spool = self._spool
                if spool is None:
                    spool = self._spool = await SpooledTemporaryFile(max_size=IN_MEMORY, dir=self._folder)
                await self._seek(spool, self._spooled)
                await spool.write(chunk)
                self._at = self._spooled = self._spooled + len(chunk)
                return
        except OSError as error:  # a full disk costs the replay, not the upload
            log.warning("upload cannot be spooled", error=error.strerror)
        await self._drop_spool()

    async def _seek(self, spool: AsyncBufferedReader, position: int) -> None:
        if self._at != position:  # each step on a file costs a thread's time
            await spool.seek(position)

    async def _drop_spool(self) -> None:
        spool, self._spool, self._spooled = self._spool, None, 0
        if spool is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take is tried once more, and wanted no more
                await spool.close()


async def _to_its_end(step: Coroutine[Any, Any, _T]) -> _T:
    """Wait for a step that must not stop in the middle, however often the waiter is cancelled meanwhile."""
    task = asyncio.ensure_future(step)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()


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

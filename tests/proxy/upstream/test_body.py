import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from structlog.testing import capture_logs

from jmap_proxy.errors import BodyTimeout, BodyTooLarge
from jmap_proxy.proxy.upstream.body import (
    CHUNK,
    ArrivingBody,
    BufferedBody,
    SpooledBody,
    check_length,
    read_body,
    whole_body,
)


class Source:
    """A client's body that arrives when the test says so."""

    def __init__(self, *chunks: bytes) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.waiting = asyncio.Event()
        for chunk in chunks:
            self.queue.put_nowait(chunk)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.waiting.set()
        chunk = await self.queue.get()
        if not chunk:
            self.queue.put_nowait(b"")  # it has ended, however often one asks
            raise StopAsyncIteration
        return chunk


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    """All that a pass gives."""
    return b"".join([chunk async for chunk in chunks])


async def test_a_buffered_body_is_the_same_each_time() -> None:
    """Large ones come in pieces."""
    body = BufferedBody(os.urandom(CHUNK + 1))
    assert len([chunk async for chunk in body.chunks()]) == 2
    assert await whole(body.chunks()) == await whole(body.chunks())
    assert await body.can_replay()
    await body.close()


async def test_a_body_over_the_limit_is_refused() -> None:
    """Exactly the limit passes."""
    assert (await read_body(Source(b"ab", b"c", b""), 3)).length == 3
    with pytest.raises(BodyTooLarge):
        await read_body(Source(b"ab", b"cd", b""), 3)


async def test_a_body_that_is_here_is_taken_as_it_is() -> None:
    """Up to the limit, and not a byte more."""
    body = whole_body(b"12345", 5)
    assert (body.whole, body.length, [chunk async for chunk in body.chunks()]) == (b"12345", 5, [b"12345"])
    with pytest.raises(BodyTooLarge):
        whole_body(b"123456", 5)


def test_a_body_that_says_beforehand_that_it_is_over_the_limit_is_refused() -> None:
    """Exactly the limit passes, and so does one that does not say."""
    check_length(3, 3)
    check_length(None, 3)
    with pytest.raises(BodyTooLarge):
        check_length(4, 3)


async def test_a_spooled_body_is_passed_on_again() -> None:
    """Half of it before, the rest while it arrives, also beyond what is kept in memory."""
    parts = [os.urandom(700_000), os.urandom(700_000), os.urandom(10)]
    body = SpooledBody(Source(*parts, b""), None, 1 << 22)
    first = body.chunks()
    assert await anext(first) + await anext(first) == parts[0] + parts[1]
    assert await body.can_replay()
    assert await whole(body.chunks()) == b"".join(parts)
    assert await whole(body.chunks()) == b"".join(parts)
    await body.close()


async def test_beyond_the_limit_there_is_no_second_pass() -> None:
    """The first pass goes on; a second one is an error, never a body without its start."""
    body = SpooledBody(Source(b"ab", b"cd", b""), None, 3)
    assert await whole(body.chunks()) == b"abcd"
    assert not await body.can_replay()
    with pytest.raises(ValueError, match="not kept"):
        await whole(body.chunks())


async def test_cancellation_in_the_middle_of_a_read_loses_no_chunk_and_records_none_twice() -> None:
    """A pass that waits for the client is cancelled, and so are ones in the middle of recording."""
    source = Source()
    body = SpooledBody(source, None, 1 << 24)
    parts = [bytes([number]) * 600_000 for number in range(6)]
    for part in parts:
        source.waiting.clear()
        step = asyncio.create_task(whole(body.chunks()))
        await source.waiting.wait()
        source.queue.put_nowait(part)
        await asyncio.sleep(0)
        step.cancel()
        await asyncio.sleep(0)
        step.cancel()
        await asyncio.wait([step])
    source.queue.put_nowait(b"")
    assert await body.can_replay()
    assert await whole(body.chunks()) == b"".join(parts)
    await body.close()


@pytest.fixture
def file_limit() -> Iterator[int]:
    """No file may become larger than this; a write beyond it fails as one on a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, limits[1]))
    yield 3 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_full_disk_costs_the_replay_and_not_the_upload(file_limit: int, tmp_path: Path) -> None:
    """The failure is logged once; what was going by goes on, and nothing is left open."""
    parts = [os.urandom(file_limit // 2 - 1) for _ in range(4)]
    body = SpooledBody(Source(*parts, b""), None, 1 << 24, str(tmp_path))
    with capture_logs() as logs:
        assert await whole(body.chunks()) == b"".join(parts)
    assert [line["event"] for line in logs] == ["upload cannot be spooled"]
    assert not await body.can_replay()
    await body.close()


async def test_a_full_disk_that_shows_at_the_end_costs_nothing(file_limit: int, tmp_path: Path) -> None:
    """The last bytes are written when the spool is closed, and then it is not wanted any more."""
    body = SpooledBody(Source(bytes(file_limit), b"last", b""), None, 1 << 24, str(tmp_path))
    assert len(await whole(body.chunks())) == file_limit + 4
    await body.close()


async def test_a_folder_that_is_not_there_costs_the_replay_and_not_the_upload() -> None:
    """As a full disk."""
    body = SpooledBody(Source(b"a" * (2 << 20), b"b", b""), None, 1 << 24, "/nonexistent/folder")
    with capture_logs() as logs:
        assert len(await whole(body.chunks())) == (2 << 20) + 1
    assert [line["event"] for line in logs] == ["upload cannot be spooled"]
    assert not await body.can_replay()


def _stream() -> StreamReader:
    """The body of a request on a connection that is there."""
    protocol = BaseProtocol(asyncio.get_running_loop())
    protocol.connection_made(asyncio.Transport())
    return StreamReader(protocol, 1 << 16)


async def test_an_arriving_body_comes_piece_by_piece() -> None:
    """To its end, with no failure."""
    stream = _stream()
    body = ArrivingBody(stream, 60)
    stream.feed_data(b"ab")
    assert await anext(body) == b"ab"
    stream.feed_data(b"c")
    stream.feed_eof()
    assert await whole(body) == b"c"
    assert body.failure is None


async def test_a_silent_client_is_not_waited_for_without_end() -> None:
    """Each piece has its time, and what went wrong is kept."""
    stream = _stream()
    body = ArrivingBody(stream, 0.01)
    stream.feed_data(b"ab")
    assert await anext(body) == b"ab"
    with pytest.raises(BodyTimeout):
        await anext(body)
    assert isinstance(body.failure, BodyTimeout)


async def test_unreadable_chunks_are_kept_as_the_failure() -> None:
    """Though whoever passes the body on may hide them."""
    stream = _stream()
    body = ArrivingBody(stream, 60)
    stream.set_exception(web.RequestPayloadError("broken"))
    with pytest.raises(web.RequestPayloadError):
        await anext(body)
    assert isinstance(body.failure, web.RequestPayloadError)


async def test_a_client_that_waits_is_asked_once_and_only_when_its_body_is_wanted() -> None:
    """Before the first piece."""
    asked: list[str] = []
    stream = _stream()

    async def ask() -> None:
        asked.append("go on")
        stream.feed_data(b"a")

    body = ArrivingBody(stream, 60, ask)
    assert asked == []
    assert await anext(body) == b"a"
    stream.feed_data(b"b")
    assert await anext(body) == b"b"
    assert asked == ["go on"]

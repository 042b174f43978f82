import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from jmap_proxy.proxy.wire.broken_body import break_body


class Connected(BaseProtocol):
    """A connection's protocol, as far as a body looks at it."""

    @property
    def connected(self) -> bool:
        """Always."""
        return True


@pytest.fixture
async def body() -> StreamReader:
    """Return a body that is still arriving, in chunks."""
    loop = asyncio.get_running_loop()
    body = StreamReader(Connected(loop), 1 << 16, loop=loop)
    body.begin_http_chunk_receiving()
    return body


async def test_later_readers_get_the_error(body: StreamReader) -> None:
    """Each time they ask."""
    break_body(body, ValueError("broken"))
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await body.readany()


async def test_a_waiting_reader_gets_the_error(body: StreamReader) -> None:
    """Instead of bytes."""
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    break_body(body, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await reading


async def test_a_reader_that_has_just_been_woken_gets_the_error(body: StreamReader) -> None:
    """The end of a chunk and what is no chunk came together."""
    body.feed_data(b"abc")
    assert await body.readany() == b"abc"
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    body.end_http_chunk_receiving()
    break_body(body, ValueError("broken"))
    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="broken"):
            await reading


async def test_half_a_body_does_not_become_whole(body: StreamReader) -> None:
    """The connection is closed in the same round, and that ends what has come so far."""
    reading = asyncio.ensure_future(body.readany())
    await asyncio.sleep(0)
    break_body(body, ValueError("broken"))
    body.feed_eof()
    with pytest.raises(ValueError, match="broken"):
        await reading


async def test_what_has_come_whole_stays_so(body: StreamReader) -> None:
    """The error is about what comes behind it."""
    body.feed_data(b"abc")
    body.feed_eof()
    break_body(body, ValueError("broken"))
    assert await body.read() == b"abc"

import asyncio

import aiohttp

from jmap_proxy.proxy.upstream.pool import upstream_session
from tests.proxy.support import raw_server

FIRST = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


async def _get(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(url) as response:
        return await response.read()


async def test_a_connection_is_used_again() -> None:
    """While the server keeps in step, one connection serves all requests, one after the other."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(FIRST)

    async with raw_server(serve) as url, upstream_session() as http:
        assert [await _get(http, url) for _ in range(3)] == [b"first"] * 3
    assert connections == 1


async def test_an_answer_that_nobody_asked_for_reaches_nobody() -> None:
    """A second answer, sent while the connection is idle, is not the next request's, which goes another way."""
    poisoned, answers = asyncio.Event(), iter((FIRST, OTHER))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        if not poisoned.is_set():
            await poisoned.wait()
            writer.write(POISON)
            assert await reader.read() == b""  # no request comes any more

    async with raw_server(serve) as url, upstream_session() as http:
        assert await _get(http, url) == b"first"
        poisoned.set()
        async with raw_server(serve_other) as elsewhere:  # meanwhile the loop takes in what has arrived
            assert await _get(http, elsewhere) == b"other"
        assert await _get(http, url) == b"other"


async def serve_other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OTHER)


async def test_junk_on_an_idle_connection_ends_it() -> None:
    """What is no answer at all does no harm either."""
    disturbed, answers = asyncio.Event(), iter((FIRST, OTHER))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        if not disturbed.is_set():
            await disturbed.wait()
            writer.write(b"junk\r\n\r\n")
            assert await reader.read() == b""

    async with raw_server(serve) as url, upstream_session() as http:
        assert await _get(http, url) == b"first"
        disturbed.set()
        async with raw_server(serve_other) as elsewhere:
            assert await _get(http, elsewhere) == b"other"
        assert await _get(http, url) == b"other"

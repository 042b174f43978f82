import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from jmap_proxy.proxy.upstream.direct import Direct, DirectAnswer, Pool
from tests.proxy.support import raw_server

TIMES = aiohttp.ClientTimeout(total=None, connect=5, sock_read=5)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def answers(*each: bytes) -> AsyncIterator[tuple[Direct, str, list[int]]]:
    """The short way to a server that answers the requests of all connections one after the other.

    Gives the origin too, and for each request the number of its connection.
    """
    left, used, connections = list(each), [], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while left:
            await reader.readuntil(b"\r\n\r\n")
            used.append(number)
            writer.write(left.pop(0))
        await reader.read()

    async with raw_server(serve) as origin, Pool(limit=0) as pool:
        assert isinstance(pool, Pool)
        yield Direct(pool), origin, used


async def ask(direct: Direct, url: str, method: str = "GET") -> DirectAnswer:
    """Send a request without a body."""
    return await direct.request(method, url, [], b"", TIMES)


async def test_a_connection_is_used_again_when_the_answer_has_come_whole() -> None:
    """Not before: two answers at a time need two."""
    async with answers(OK, OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", OK) as (direct, origin, used):
        for _ in range(2):
            assert await (await ask(direct, origin)).content.read() == b"ok"
        unfinished = await ask(direct, origin)
        assert await (await ask(direct, origin)).content.read() == b"ok"
        unfinished.close()
    assert used == [1, 1, 1, 2]


async def test_a_connection_with_bytes_that_nobody_asked_for_is_not_used_again() -> None:
    """They would be taken for the answer to the next request, perhaps of another account."""
    async with answers(OK + OK, OK) as (direct, origin, used):
        for _ in range(2):
            assert await (await ask(direct, origin)).content.read() == b"ok"
    assert used == [1, 2]


async def test_provisional_answers_are_passed_over() -> None:
    """As many as come before the real one (RFC 9110 §15.2)."""
    many = b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    async with answers(many) as (direct, origin, _):
        answer = await ask(direct, origin)
        assert (answer.status, "Link" in answer.headers, await answer.content.read()) == (200, False, b"ok")


async def test_an_answer_of_101_keeps_its_connection() -> None:
    """It speaks something else from then on."""
    async with answers(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n") as all_of_it:
        direct, origin, _ = all_of_it
        answer = await ask(direct, origin)
        assert answer.status == 101
        assert answer.connection.transport is not None
        answer.close()


async def test_the_answer_to_head_has_no_body() -> None:
    """Whatever length it tells."""
    async with answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") as (direct, origin, _):
        answer = await ask(direct, origin, "HEAD")
        assert (answer.content_length, await answer.content.read()) == (5, b"")


@pytest.mark.parametrize("url", ["/a\r\nX: y", "/a\n", "/\0"])
async def test_control_characters_are_not_sent(url: str) -> None:
    """They could make two requests of one."""
    async with answers(OK) as (direct, origin, used):
        with pytest.raises(ValueError, match=r"control|URL"):
            await ask(direct, origin + url)
        with pytest.raises(ValueError, match="control"):
            await direct.request("GET", origin, [("X", url)], b"", TIMES)
    assert used == []


async def test_a_head_that_cannot_be_read_is_an_error() -> None:
    """And its connection is not used again."""
    async with answers(b"HTTP/1.1 abc\r\n\r\n", OK) as (direct, origin, used):
        with pytest.raises(aiohttp.ClientError):
            await ask(direct, origin)
        assert await (await ask(direct, origin)).content.read() == b"ok"
    assert used == [1, 2]


async def test_a_body_that_becomes_unreadable_ends_with_an_error() -> None:
    """Whoever reads it does not wait for ever."""
    reading = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await reading.wait()
        writer.write(b"zz\r\n")
        await reader.read()

    async with raw_server(serve) as origin, Pool(limit=0) as pool:
        assert isinstance(pool, Pool)
        answer = await ask(Direct(pool), origin)
        assert await answer.content.readany() == b"ok"
        reading.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
        answer.close()


async def test_a_silent_server_is_given_up() -> None:
    """After `sock_read` seconds, as with the ordinary client."""
    times = aiohttp.ClientTimeout(total=None, connect=5, sock_read=0.05)
    async with answers(b"") as (direct, origin, _):
        with pytest.raises(TimeoutError):
            await direct.request("GET", origin, [], b"", times)

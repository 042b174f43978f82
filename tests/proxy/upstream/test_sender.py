import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from jmap_proxy.proxy.upstream.body import BufferedBody
from jmap_proxy.proxy.upstream.direct import VERSION, DirectAnswer
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.proxy.upstream.sender import SMALL, Answer, Sender
from tests.proxy.support import raw_server

TIMES = aiohttp.ClientTimeout(total=None, connect=5, sock_read=5)
FIELDS = [("X-One", "1"), ("x-two", "2 2"), ("X-One", "once more")]
OK = b"HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Heard:
    """A server that keeps what it was sent, and ends a connection after so many answers."""

    def __init__(self, answers: int = 99) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        for _ in range(self.answers):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
            self.requests.append(head + await reader.readexactly(length))
            writer.write(OK)
            await writer.drain()
        writer.close()
        self.ended.set()


@asynccontextmanager
async def sending(heard: Heard, *, short: bool | None = None) -> AsyncIterator[tuple[Sender, str]]:
    """A sender, and the server's origin."""
    async with raw_server(heard.serve) as origin, upstream_session() as http:
        yield Sender(http, short=short), origin


async def sent(sender: Sender, method: str, url: str, body: bytes | None = None) -> tuple[Answer, bytes]:
    """The answer to a request, and its body."""
    answer = await sender.request(method, url, FIELDS, None if body is None else BufferedBody(body), TIMES)
    return answer, await answer.content.read()


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"{}"), ("POST", b"")])
async def test_both_ways_do_the_same(method: str, body: bytes | None) -> None:
    """The server is sent the same fields and bytes, whatever their order; what comes back is the same."""
    seen = []
    for short in (True, False):
        heard = Heard()
        async with sending(heard, short=short) as (sender, origin):
            answer, content = await sent(sender, method, f"{origin}/a%2Fb?c=%20d", body)
            assert isinstance(answer, DirectAnswer) is short
        request = heard.requests[0].replace(origin.removeprefix("http://").encode(), b"HOST")
        first, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
        told = (answer.status, answer.reason, answer.version, answer.headers, answer.content_length, content)
        seen.append((first, sorted(lines), request.partition(b"\r\n\r\n")[2], told))
    assert seen[0] == seen[1]
    assert seen[0][0] == f"{method} /a%2Fb?c=%20d HTTP/1.1".encode()


async def test_a_large_body_goes_the_ordinary_way() -> None:
    """One byte more than a socket takes at once; all of it arrives."""
    heard = Heard()
    async with sending(heard, short=True) as (sender, origin):
        answers = [(await sent(sender, "POST", origin, b"x" * size))[0] for size in (SMALL, SMALL + 1)]
    assert [isinstance(each, DirectAnswer) for each in answers] == [True, False]
    assert [len(each.partition(b"\r\n\r\n")[2]) for each in heard.requests] == [SMALL, SMALL + 1]


async def test_what_has_a_time_limit_in_all_goes_the_ordinary_way() -> None:
    """The short way knows none."""
    async with sending(Heard(), short=True) as (sender, origin):
        answer = await sender.request("GET", origin, [], None, aiohttp.ClientTimeout(total=5))
        answer.close()
    assert not isinstance(answer, DirectAnswer)


async def test_the_short_way_is_for_the_aiohttp_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another version all goes the ordinary way."""
    for version, short in ((f"{VERSION}99", True), ("4.0.0", False)):
        monkeypatch.setattr(aiohttp, "__version__", version)
        async with sending(Heard()) as (sender, origin):
            assert isinstance((await sent(sender, "GET", origin))[0], DirectAnswer) is short


async def test_a_get_is_sent_once_more_after_an_idle_connection_has_ended() -> None:
    """The server has ended it in the moment in which it was used again: the client sees nothing of that."""
    answers = iter((OK, b"", OK))
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await answer_to(reader):
            writer.write(answer)

    async def answer_to(reader: asyncio.StreamReader) -> bytes:
        seen.append((await reader.readuntil(b"\r\n\r\n")).partition(b" ")[0])
        return next(answers)

    async with raw_server(serve) as origin, upstream_session() as http:
        sender = Sender(http, short=True)
        assert [(await sent(sender, "GET", origin))[1] for _ in range(2)] == [b"ok", b"ok"]
    assert seen == [b"GET"] * 3


async def test_a_post_is_never_sent_once_more() -> None:
    """It may have been acted on."""
    answers = iter((OK, b"", OK))
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append((await reader.readuntil(b"\r\n\r\n")).partition(b" ")[0])
            if not (answer := next(answers)):
                return
            writer.write(answer)

    async with raw_server(serve) as origin, upstream_session() as http:
        sender = Sender(http, short=True)
        await sent(sender, "POST", origin, b"")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await sent(sender, "POST", origin, b"")
    assert seen == [b"POST"] * 2


@pytest.mark.parametrize("short", [True, False])
async def test_no_connection_is_no_second_try(short: bool) -> None:
    """Nobody listens: that is told at once."""
    async with sending(Heard()) as (_, origin):
        pass
    async with upstream_session() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await sent(Sender(http, short=short), "GET", origin)

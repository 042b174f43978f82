"""Both ways to send a request, by the same tests: what a caller sees does not depend on the way."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from jmap_proxy.proxy.upstream import direct
from jmap_proxy.proxy.upstream.body import BufferedBody
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.proxy.upstream.sender import SMALL, Answer, Sender
from tests.proxy.support import raw_server
from tests.support.certificates import private_authority

TIMES = aiohttp.ClientTimeout(total=None, connect=5, sock_read=5)
IMPATIENT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=0.05)
TIME_LIMIT = 10
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAULTS = (aiohttp.ClientError, TimeoutError, OSError)

Script = Callable[["Peer"], Awaitable[None]]


@pytest.fixture(params=[True, False], ids=["short", "ordinary"])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    """Give a sender of each kind."""
    async with upstream_session() as http:
        yield Sender(http, short=request.param)


@dataclass
class Peer:
    """A server's side of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "Server"

    async def head(self) -> bytes:
        """The next request's head, which is noted."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    async def say(self, data: bytes) -> None:
        """Send."""
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the other side has closed; what it still sends is its request's body."""
        with suppress(ConnectionError):
            await self.reader.read()
        self.server.left.set()


@dataclass
class Server:
    """A server with a script for each connection; the last one serves all that follow."""

    scripts: list[Script]
    origin: str = ""
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a raw server."""
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        await script(Peer(reader, writer, self))


@asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[Server]:
    """A server with these scripts; nothing may take longer than the tests wait."""
    server = Server(list(scripts))
    async with raw_server(server.serve) as server.origin, asyncio.timeout(TIME_LIMIT):
        yield server


def answering(*answers: bytes) -> Script:
    """Answers one request after the other on a connection, the last answer again and again."""

    async def script(peer: Peer) -> None:
        for number in range(1000):
            await peer.head()
            await peer.say(answers[min(number, len(answers) - 1)])

    return script


def once(answer: bytes) -> Script:
    """Answers one request and waits until the other side closes."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer)
        await peer.left()

    return script


async def closing(peer: Peer) -> None:
    """Read a request and close."""
    await peer.head()


async def silent(peer: Peer) -> None:
    """Read a request and say nothing."""
    await peer.head()
    await peer.left()


async def start(
    sender: Sender, server: Server, method: str = "GET", body: bytes | None = None, times: aiohttp.ClientTimeout = TIMES
) -> Answer:
    """Send a request; its answer is to be closed."""
    buffered = None if body is None else BufferedBody(body)
    return await sender.request(method, f"{server.origin}/x", [("X-Field", "value")], buffered, times)


async def ask(
    sender: Sender, server: Server, method: str = "GET", body: bytes | None = None, times: aiohttp.ClientTimeout = TIMES
) -> tuple[int, bytes]:
    """Status and body of the answer."""
    answer = await start(sender, server, method, body, times)
    try:
        return answer.status, await answer.content.read()
    finally:
        answer.close()


async def test_a_request_goes_as_it_is(sender: Sender) -> None:
    """Target byte for byte, Host, the given fields and what frames the body; nothing else, whichever the way."""
    async with serving(answering(OK)) as server:
        url = f"{server.origin}/a%2Fb/%2A//{{type}}?q=%20&&"
        answer = await sender.request("POST", url, [("X-Field", "v ä"), ("X-Field", "w")], BufferedBody(b""), TIMES)
        answer.close()
    lines = server.heads[0].decode().split("\r\n")
    assert lines[0] == "POST /a%2Fb/%2A//{type}?q=%20&& HTTP/1.1"
    host = f"Host: {server.origin.removeprefix('http://')}"
    assert sorted(lines[1:-2]) == sorted([host, "X-Field: v ä", "X-Field: w", "Content-Length: 0"])


async def test_a_request_without_a_body_says_nothing_of_one(sender: Sender) -> None:
    """Neither Content-Length nor Transfer-Encoding."""
    async with serving(answering(OK)) as server:
        assert await ask(sender, server) == (200, b"first")
    assert b"content-length" not in server.heads[0].lower()
    assert b"transfer-encoding" not in server.heads[0].lower()


async def test_an_origin_alone_is_asked_for_its_root(sender: Sender) -> None:
    """An empty path is "/" on the wire (RFC 9112 §3.2.1)."""
    async with serving(answering(OK)) as server:
        (await sender.request("GET", server.origin, [], None, TIMES)).close()
    assert server.heads[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("size", [1, SMALL, SMALL + 1, 10 * SMALL])
async def test_a_body_arrives_whole(sender: Sender, size: int) -> None:
    """Below and above what is sent in one go."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    got = []

    async def script(peer: Peer) -> None:
        await peer.head()
        got.append(await peer.reader.readexactly(size))
        await peer.say(OK)

    async with serving(script) as server:
        assert await ask(sender, server, "POST", body) == (200, b"first")
    assert got == [body]
    assert f"Content-Length: {size}\r\n".encode() in server.heads[0]


async def test_one_connection_serves_one_request_after_the_other(sender: Sender) -> None:
    """While both sides keep in step."""
    async with serving(answering(OK)) as server:
        assert [await ask(sender, server, "POST", b"{}") for _ in range(3)] == [(200, b"first")] * 3
    assert (server.connections, len(server.heads)) == (1, 3)


async def test_requests_at_the_same_time_have_a_connection_each(sender: Sender) -> None:
    """No answer is another one's."""
    async with serving(answering(OK)) as server:
        answers = await asyncio.gather(*(ask(sender, server) for _ in range(8)))
    assert answers == [(200, b"first")] * 8
    assert server.connections == 8


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_changes_nothing_is_sent_again_if_the_connection_was_stale(sender: Sender, method: str) -> None:
    """A server closes idle connections when it likes; the client does not have to know."""

    async def closes_on_the_second(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()

    async with serving(closes_on_the_second, answering(EMPTY)) as server:
        await ask(sender, server)
        assert (await ask(sender, server, method))[0] == 200
    assert [head.split()[0].decode() for head in server.heads] == ["GET", method, method]
    assert server.connections == 2


async def test_it_is_sent_again_once_only(sender: Sender) -> None:
    """A server that always closes sees it twice."""
    async with serving(closing) as server:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask(sender, server)
        assert len(server.heads) == 2


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_a_post_is_never_sent_again_after_a_connection_error(sender: Sender, body: bytes) -> None:
    """Neither on a connection that was idle nor on a new one: the server may have done what was asked."""

    async def closes_on_the_second(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()

    async with serving(closes_on_the_second, closing) as server:
        await ask(sender, server)
        for _ in range(2):
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await ask(sender, server, "POST", body)
    assert [head.split()[0] for head in server.heads] == [b"GET", b"POST", b"POST"]


async def test_nobody_listens(sender: Sender) -> None:
    """A refused connection is not tried again, and is no timeout."""
    async with serving(closing) as server:
        pass
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(sender, server)


async def test_the_answer_to_head_has_no_body(sender: Sender) -> None:
    """Whatever its fields say; and the connection serves the next request."""
    async with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", OK)) as server:
        answer = await start(sender, server, "HEAD")
        assert (answer.status, answer.content_length, await answer.content.read()) == (200, 1000, b"")
        answer.close()
        assert await ask(sender, server) == (200, b"first")
    assert server.connections == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_answers_that_never_have_a_body(sender: Sender, status: bytes) -> None:
    """They end with their head (RFC 9112 §6.3)."""
    async with serving(answering(b"HTTP/1.1 " + status + b"\r\n\r\n", OK)) as server:
        assert await ask(sender, server, "POST", b"{}") == (int(status[:3]), b"")
        assert await ask(sender, server) == (200, b"first")
    assert server.connections == 1


@pytest.mark.parametrize("apart", [False, True])
async def test_provisional_answers_are_passed_over(sender: Sender, *, apart: bool) -> None:
    """100, 102 and 103, in one piece with the answer or before it."""
    provisional = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Hints\r\n\r\n"]

    async def script(peer: Peer) -> None:
        await peer.head()
        for piece in [*provisional, OK] if apart else [b"".join([*provisional, OK])]:
            await peer.say(piece)
            await asyncio.sleep(0)
        await peer.head()
        await peer.say(OTHER)

    async with serving(script) as server:
        assert await ask(sender, server, "POST", b"{}") == (200, b"first")
        assert await ask(sender, server) == (200, b"other")
    assert server.connections == 1


async def test_after_101_the_connection_is_the_callers(sender: Sender) -> None:
    """It speaks something else from there on, so that no request may ever be sent on it."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert await peer.reader.readexactly(4) == b"ping"
        await peer.left()

    async with serving(script, answering(OTHER)) as server:
        fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        answer = await sender.request("GET", f"{server.origin}/ws", fields, None, TIMES)
        assert answer.status == 101
        assert answer.connection is not None
        assert answer.connection.transport is not None
        answer.connection.transport.write(b"ping")
        assert await ask(sender, server) == (200, b"other")
        answer.close()
        await server.left.wait()


async def test_a_body_that_ends_with_the_connection(sender: Sender) -> None:
    """HTTP/1.0's way; the connection serves nobody else."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nuntil ")
        await peer.say(b"the end")

    async with serving(script, answering(OTHER)) as server:
        assert await ask(sender, server) == (200, b"until the end")
        assert await ask(sender, server) == (200, b"other")
    assert server.connections == 2


async def test_a_chunked_body(sender: Sender) -> None:
    """With extensions and a trailer; the connection serves the next request."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    async with serving(answering(chunked, OK)) as server:
        answer = await start(sender, server)
        assert (answer.content_length, await answer.content.read()) == (None, b"abcde")
        answer.close()
        assert await ask(sender, server) == (200, b"first")
    assert server.connections == 1


async def test_a_compressed_body_comes_as_it_is(sender: Sender) -> None:
    """Nothing is decoded, so that what the head says of it stays true."""
    async with serving(
        answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    ) as server:
        assert await ask(sender, server) == (200, b"abc")


@pytest.mark.parametrize(
    "head",
    [
        b"220 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 1000 + b"\r\n",
    ],
)
async def test_a_head_that_cannot_be_read(sender: Sender, head: bytes) -> None:
    """An error that the exchange knows; the connection is closed, and nothing is asked for twice."""
    async with serving(once(head), answering(OTHER)) as server:
        with pytest.raises(FAULTS):
            await ask(sender, server, "POST", b"{}")
        await server.left.wait()
        assert await ask(sender, server) == (200, b"other")
    assert len(server.heads) == 2


async def test_the_end_in_the_middle_of_a_head(sender: Sender) -> None:
    """Half a head is no answer."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Le")

    async with serving(script, answering(OTHER)) as server:
        with pytest.raises(FAULTS):
            await ask(sender, server, "POST", b"{}")
        assert await ask(sender, server) == (200, b"other")


@pytest.mark.parametrize(
    "part", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_the_end_in_the_middle_of_a_body(sender: Sender, part: bytes) -> None:
    """Half a body never looks like a whole one."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n" + part)

    async with serving(script, answering(OTHER)) as server:
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(sender, server)
        assert await ask(sender, server) == (200, b"other")


async def test_a_chunk_that_cannot_be_read(sender: Sender) -> None:
    """Whoever waits for the rest is told, also when it comes later than the first ones."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await go_on.wait()
        await peer.say(b"no length\r\n")
        await peer.left()

    async with serving(script) as server:
        answer = await start(sender, server)
        assert await answer.content.readany() == b"abc"
        go_on.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
        answer.close()
        await server.left.wait()


async def test_a_server_that_says_nothing(sender: Sender) -> None:
    """It is given up after `sock_read`; a POST is not sent again."""
    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, "POST", b"{}", IMPATIENT)
        await server.left.wait()
    assert len(server.heads) == 1


async def test_a_server_that_stops_in_the_middle_of_a_head(sender: Sender) -> None:
    """Its first bytes buy no more time than `sock_read`."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-")) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=IMPATIENT)
        await server.left.wait()


async def test_a_server_that_stops_in_the_middle_of_a_body(sender: Sender) -> None:
    """Whoever reads it is told."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=IMPATIENT)
        await server.left.wait()


async def test_a_server_that_goes_on_slowly_is_waited_for(sender: Sender) -> None:
    """Each piece buys `sock_read` anew: all of it may take longer."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.1)
            await peer.say(b"x")

    async with serving(script) as server:
        times = aiohttp.ClientTimeout(total=None, connect=5, sock_read=0.6)
        assert await ask(sender, server, times=times) == (200, b"x" * 8)


async def test_idle_connections_have_no_time_limit_of_a_request(sender: Sender) -> None:
    """What was left of a request's patience when its answer had come does not end the connection later."""
    async with serving(answering(OK)) as server:
        assert await ask(sender, server, times=IMPATIENT) == (200, b"first")
        await asyncio.sleep(0.15)  # three times as long as the server could have been silent
        assert await ask(sender, server, times=IMPATIENT) == (200, b"first")
    assert server.connections == 1


async def test_time_for_all_of_it(sender: Sender) -> None:
    """Where there is a `total`, it counts, whichever the way."""
    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=aiohttp.ClientTimeout(total=0.05))
        await server.left.wait()


async def test_a_connection_that_does_not_come_in_time(sender: Sender) -> None:
    """It has a type of its own, since nothing was sent: also a POST can be told to come again."""
    async with serving(hello_only) as server:
        times = aiohttp.ClientTimeout(total=None, connect=0.05)
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await sender.request("POST", server.origin.replace("http", "https"), [], BufferedBody(b"{}"), times)


async def hello_only(peer: Peer) -> None:
    """Read what comes and say nothing."""
    await peer.reader.read()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_a_caller_that_goes_before_the_head(sender: Sender, said: bytes) -> None:
    """Cancelled in the middle of a head: the server sees the end, and the connection serves nobody else."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(said)
        asked.set()
        await peer.left()

    async with serving(script, answering(OTHER)) as server:
        asking = asyncio.create_task(ask(sender, server))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.left.wait()
        assert await ask(sender, server) == (200, b"other")


async def test_a_caller_that_goes_in_the_middle_of_a_body(sender: Sender) -> None:
    """As above; what comes of the body later is nobody's answer."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), answering(OTHER)) as server:
        answer = await start(sender, server)
        assert await answer.content.readany() == b"half"
        reading = asyncio.create_task(answer.content.readany())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        answer.close()
        await server.left.wait()
        assert await ask(sender, server) == (200, b"other")


async def test_a_caller_that_does_not_want_the_body(sender: Sender) -> None:
    """Closing an answer that has not come whole closes its connection."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")) as server:
        (await start(sender, server)).close()
        await server.left.wait()


async def test_closing_an_answer_that_has_come_whole_costs_nothing(sender: Sender) -> None:
    """Its connection is in the pool already."""
    async with serving(answering(OK)) as server:
        answer = await start(sender, server)
        await answer.content.read()
        answer.close()
        answer.close()
        assert await ask(sender, server) == (200, b"first")
    assert server.connections == 1


@pytest.mark.parametrize("unasked", [OTHER, b"junk\r\n\r\n", b"x"])
async def test_bytes_that_nobody_asked_for(sender: Sender, unasked: bytes) -> None:
    """In one piece with an answer, behind its end: the next request goes another way."""
    async with serving(once(OK + unasked), answering(OTHER)) as server:
        with suppress(aiohttp.ClientError):  # aiohttp may refuse the piece as a whole, or its answer alone
            assert await ask(sender, server) == (200, b"first")
        assert await ask(sender, server) == (200, b"other")
        await server.left.wait()
    assert len(server.heads) == 2


@pytest.mark.parametrize("bad", ["a\r\nX-Injected: b", "a\x00b", "a\nb", "\x7f"])
async def test_no_control_character_gets_into_a_head(sender: Sender, bad: str) -> None:
    """Nothing is sent."""
    async with serving(answering(OK)) as server:
        with pytest.raises(ValueError, match=r"(?i)control|newline|header"):
            await sender.request("GET", f"{server.origin}/x", [("X-Field", bad)], None, TIMES)
    assert server.heads == []


@pytest.mark.parametrize("short", [True, False])
async def test_tls(tmp_path: Path, *, short: bool) -> None:
    """The certificate is checked, and connections are kept."""
    ca_file, theirs = private_authority(tmp_path)
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    async with upstream_session(ssl.create_default_context(cafile=ca_file)) as http, asyncio.timeout(TIME_LIMIT):
        sender = Sender(http, short=short)
        for _ in range(2):
            answer = await sender.request("POST", url, [], BufferedBody(b""), TIMES)
            assert (answer.status, await answer.content.read()) == (200, b"first")
            answer.close()
    async with upstream_session() as http, asyncio.timeout(TIME_LIMIT):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await Sender(http, short=short).request("GET", url, [], None, TIMES)
    server.close()
    assert served == 1


async def test_the_ordinary_way_is_taken_by_what_the_short_one_does_not_know() -> None:
    """Another session's connections are not ours; and aiohttp itself may be another one."""
    async with aiohttp.ClientSession() as http, serving(answering(OK)) as server:
        assert Sender(http, short=True)._direct is None
        assert await ask(Sender(http, short=True), server) == (200, b"first")
    async with upstream_session() as http:
        assert (Sender(http)._direct is not None) == direct.is_known(aiohttp.__version__)
        assert Sender(http, short=False)._direct is None

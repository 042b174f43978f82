"""Both ways to send a request, by the same tests: what a caller sees does not depend on the way."""

import asyncio

import aiohttp
import pytest

from jmap_proxy.proxy.upstream.body import BufferedBody
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.proxy.upstream.sender import SMALL, Sender
from tests.proxy.upstream.scripts import EMPTY, OK, OTHER, TIMES, Peer, answering, ask, closing, serving, start
from tests.proxy.upstream.waiting import Waiting


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


async def test_a_request_can_be_begun_by_the_short_way() -> None:
    """Over a connection that rests, and none else."""
    async with serving(answering(OK)) as server, upstream_session() as http:
        sender, asker = Sender(http, short=True), Waiting()
        prepared = sender.prepare("POST", f"{server.origin}/x", [("X-Field", "value")])
        assert prepared is not None
        assert sender.begin(prepared, b"\r\n", 5, asker) is None
        await ask(sender, server)
        sent = sender.begin(prepared, b"Content-Length: 0\r\n\r\n", 5, asker)
        assert sent is not None
        assert await asker.heard_first() == OK
        sent.answered()
        assert await ask(sender, server, "POST", b"") == (200, b"first")
    assert server.heads[1] == server.heads[2]
    assert server.connections == 1


async def test_where_the_short_way_is_off_nothing_is_begun() -> None:
    """Neither is anything prepared, nor what another sender has prepared sent."""
    async with serving(answering(OK)) as server, upstream_session() as http:
        url, asker = f"{server.origin}/x", Waiting()
        prepared = Sender(http, short=True).prepare("POST", url, [])
        assert prepared is not None
        sender = Sender(http, short=False)
        await ask(sender, server)
        assert sender.prepare("POST", url, []) is None
        assert sender.begin(prepared, b"\r\n", 5, asker) is None
    async with aiohttp.ClientSession() as http:  # whose connections are not of our kind
        assert Sender(http, short=True).prepare("POST", url, []) is None
    assert len(server.heads) == 1


async def test_what_cannot_be_sent_is_not_prepared() -> None:
    """A control character in a field, as ever."""
    async with upstream_session() as http:
        with pytest.raises(ValueError, match="control"):
            Sender(http, short=True).prepare("POST", "http://127.0.0.1/x", [("X-Field", "a\r\nb")])

"""What is relied on of aiohttp's inner names, each by itself; what comes of it is in test_sender, for both ways."""

import asyncio
import inspect

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.upstream.connections import Pool
from jmap_proxy.proxy.upstream.direct import Direct, DirectAnswer, Prepared, Sent, is_known
from tests.proxy.support import raw_server
from tests.proxy.upstream.scripts import OTHER, Peer, answering, closing, once, serving
from tests.proxy.upstream.waiting import Waiting, pooling

TIMES = aiohttp.ClientTimeout(total=None, connect=5, sock_read=5)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
TIME_LIMIT = 10


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(OK)


def template(origin: str) -> ClientRequest:
    """What a connector wants to know of a request."""
    return ClientRequest("GET", URL(origin), loop=asyncio.get_running_loop())


async def get(direct: Direct, url: str) -> DirectAnswer:
    """Send a request."""
    return await direct.request("GET", url, [], b"", TIMES)


@pytest.mark.parametrize("version", ["3.14.3", "3.14.99", "3.14.5.dev0"])
def test_the_versions_whose_inner_names_are_known(version: str) -> None:
    """All of 3.14."""
    assert is_known(version)


@given(st.integers(0, 9), st.integers(0, 199), st.integers(0, 99))
def test_no_other_version_is_known(major: int, minor: int, patch: int) -> None:
    """Neither 3.1 nor 3.140: where aiohttp is another one, everything goes the ordinary way."""
    assert is_known(f"{major}.{minor}.{patch}") is ((major, minor) == (3, 14))


def test_the_installed_version_is_known() -> None:
    """The locked aiohttp is one for which the short way is made."""
    assert is_known(aiohttp.__version__)


async def test_connect_takes_what_it_is_given() -> None:
    """`connect(request, traces, timeout)`; of the request it is one template for all of a server."""
    assert list(inspect.signature(aiohttp.BaseConnector.connect).parameters) == ["self", "req", "traces", "timeout"]
    pool = Pool()
    async with pool, raw_server(answer_all) as origin, asyncio.timeout(TIME_LIMIT):
        direct = Direct(pool)
        for path in ("/a", "/b"):
            answer = await get(direct, origin + path)
            assert await answer.content.read() == b"first"
        assert len(direct._servers) == 1
        (server,) = direct._servers.values()
        assert server.template.connection_key == template(origin).connection_key
        assert server.template.connection_key is server.template.connection_key


def test_a_protocol_takes_what_it_is_given() -> None:
    """The names, and what is said by them."""
    known = inspect.signature(ResponseHandler.set_response_params).parameters
    assert {"skip_payload", "read_until_eof", "auto_decompress", "read_timeout"} <= set(known)
    assert inspect.iscoroutinefunction(ResponseHandler.read)
    assert list(inspect.signature(ResponseHandler.start_timeout).parameters) == ["self"]
    assert isinstance(inspect.getattr_static(ResponseHandler, "should_close"), property)


async def test_a_connection_goes_back_when_the_body_has_come() -> None:
    """Not before: by the stream's `on_eof`, also where it has come whole with the head."""
    release = asyncio.Event()

    async def in_two(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-2])
        await release.wait()
        writer.write(OK[-2:])
        await reader.read()

    pool = Pool()
    async with pool, raw_server(in_two) as origin, asyncio.timeout(TIME_LIMIT):
        answer = await get(Direct(pool), origin)
        assert answer.connection.protocol is not None
        release.set()
        assert await answer.content.read() == b"first"
        assert answer.connection.protocol is None


async def test_a_connection_that_is_lost_before_it_is_used() -> None:
    """It is told as any that the server has closed."""

    class Losing(Pool):
        async def connect(
            self,
            req: ClientRequest,
            traces: list[Trace],
            timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - of aiohttp
        ) -> Connection:
            connection = await super().connect(req, traces, timeout)
            assert connection.protocol is not None
            connection.protocol.abort()
            return connection

    pool = Losing()
    async with pool, raw_server(answer_all) as origin, asyncio.timeout(TIME_LIMIT):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await get(Direct(pool), origin)


async def test_what_an_answer_tells() -> None:
    """As `aiohttp.ClientResponse` tells it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 299 Very Fine\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n")

    pool = Pool()
    async with pool, raw_server(serve) as origin, asyncio.timeout(TIME_LIMIT):
        answer = await get(Direct(pool), origin)
        assert (answer.status, answer.reason, tuple(answer.version)) == (299, "Very Fine", (1, 0))
        assert answer.headers.getall("X-A") == ["1", "2"]
        assert answer.content_length == 0


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost/x", "localhost"),
        ("http://localhost:80/x", "localhost"),
        ("https://localhost/x", "localhost"),
        ("https://localhost:80/x", "localhost:80"),
        ("http://[::1]/x", "[::1]"),
        ("http://[0:0::1]:8080/x", "[::1]:8080"),
        ("https://MAIL.Example/x", "mail.example"),
    ],
)
async def test_host_names_the_server(url: str, host: str) -> None:
    """In its one spelling, without the scheme's own port (RFC 9110 §4.2.3, §7.2)."""
    pool = Pool()
    async with pool:
        assert Direct(pool)._learn(parse_origin(url)).host_line == f"Host: {host}"


async def sent(direct: Direct, prepared: Prepared, asker: Waiting) -> Sent:
    """A request that was sent at once, over the connection of one that was answered before."""
    begun = direct.begin(prepared, b"Content-Length: 0\r\n\r\n", 5, asker)
    assert begun is not None
    return begun


async def parsed(direct: Direct, prepared: Prepared) -> Sent:
    """As `sent`; the first bytes of its answer have come, and the parser has been told of them."""
    asker = Waiting()
    begun = await sent(direct, prepared, asker)
    data = await asker.heard_first()
    assert begun.connection is not None
    begun.connection.parse(data)
    return begun


async def rested(origin: str, pool: Pool) -> tuple[Direct, Prepared]:
    """A connection rests, and a request is prepared."""
    direct = Direct(pool)
    assert await (await get(direct, origin)).content.read() == b"first"
    return direct, direct.prepare("POST", f"{origin}/x?y", [("X-Field", "v ä")])


async def test_what_is_prepared_goes_as_any_request() -> None:
    """Head and body, in one piece."""
    async with serving(answering(OK)) as server, pooling() as pool:
        direct, prepared = await rested(server.origin, pool)
        asker = Waiting()
        begun = await sent(direct, prepared, asker)
        assert await asker.heard_first() == OK
        begun.answered()
        fields = [("X-Field", "v ä"), ("Content-Length", "0")]
        await (await direct.request("POST", f"{server.origin}/x?y", fields, b"", TIMES)).content.read()
    assert server.heads[1] == server.heads[2]
    assert server.connections == 1


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_nothing_with_a_control_character_is_prepared(value: str) -> None:
    """Neither in a field nor in the URL."""
    async with pooling() as pool:
        for path, fields in (("/x", [("X-Field", value)]), (f"/{value}", [])):
            with pytest.raises(ValueError, match="control"):
                Direct(pool).prepare("POST", f"http://127.0.0.1{path}", fields)


async def test_nothing_is_begun_while_no_connection_rests() -> None:
    """Neither before the first request nor while the only connection is asked."""
    async with serving(answering(OK)) as server, pooling() as pool:
        direct, asker = Direct(pool), Waiting()
        prepared = direct.prepare("POST", server.origin, [])
        assert direct.begin(prepared, b"\r\n", 5, asker) is None
        await (await get(direct, server.origin)).content.read()
        begun = await sent(direct, prepared, asker)
        assert direct.begin(prepared, b"\r\n", 5, asker) is None
        await asker.heard_first()
        begun.answered()
        (await sent(direct, prepared, Waiting())).close()
    assert (server.connections, len(server.heads)) == (1, 2)


async def test_an_answer_that_is_not_taken_at_once() -> None:
    """It is read as any; what has come of it is told to the parser before."""

    async def script(peer: Peer) -> None:
        for pieces in ([OK], [b"HTTP/1.1 102 Processing\r\n\r\n", OTHER[:-2], OTHER[-2:]], [OK]):
            await peer.head()
            for piece in pieces:
                await peer.say(piece)
                await asyncio.sleep(0)

    async with serving(script) as server, pooling() as pool:
        direct, prepared = await rested(server.origin, pool)
        begun = await parsed(direct, prepared)
        answer = await begun.answer()
        assert (answer.status, await answer.content.read()) == (200, b"other")
        begun.close()  # too late to matter
        assert await (await get(direct, server.origin)).content.read() == b"first"
    assert server.connections == 1


async def test_an_answer_that_cannot_be_read() -> None:
    """It is told as `request` does, and the connection ends."""
    async with serving(answering(OK, b"HTTP/1.1 nonsense\r\n\r\n")) as server, pooling() as pool:
        direct, prepared = await rested(server.origin, pool)
        begun = await parsed(direct, prepared)
        with pytest.raises(aiohttp.ClientPayloadError):
            await begun.answer()
        assert not pool._acquired
        assert direct.begin(prepared, b"\r\n", 5, Waiting()) is None


async def test_no_answer_comes() -> None:
    """The asker is told by nothing, and who wants the answer gets aiohttp's error; nothing is sent again."""

    async def leaves(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await closing(peer)

    async with serving(leaves) as server, pooling() as pool:
        direct, prepared = await rested(server.origin, pool)
        asker = Waiting()
        begun = await sent(direct, prepared, asker)
        assert await asker.heard_first() == b""
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await begun.answer()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await begun.answer()  # nor is there one to be taken twice
    assert len(server.heads) == 2


async def test_what_is_given_up_ends_its_connection() -> None:
    """Whatever comes on it later is for nobody."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()
        await peer.left()

    async with serving(script, once(OTHER)) as server, pooling() as pool:
        direct, prepared = await rested(server.origin, pool)
        asker = Waiting()
        begun = await sent(direct, prepared, asker)
        await get_ready(server.heads)
        begun.close()
        begun.close()
        begun.answered()
        await server.left.wait()
        assert await (await get(direct, server.origin)).content.read() == b"other"
        assert not asker.told
    assert server.connections == 2


async def get_ready(heads: list[bytes]) -> None:
    """Wait until the server has got the second request."""
    while len(heads) < 2:  # noqa: ASYNC110 - there is no event for that
        await asyncio.sleep(0)


async def test_who_waits_for_an_answer_may_be_cancelled() -> None:
    """Its connection ends, since the answer would come on it."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()
        await peer.say(OTHER[:9])
        await peer.left()

    async with serving(script) as server, pooling() as pool:
        direct, prepared = await rested(server.origin, pool)
        begun = await parsed(direct, prepared)
        waiting = asyncio.create_task(begun.answer())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await server.left.wait()
        assert not pool._acquired

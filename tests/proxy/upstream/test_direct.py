"""What is relied on of aiohttp's inner names, each by itself; what comes of it is in test_sender, for both ways."""

import asyncio
import inspect
from typing import Any

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
from jmap_proxy.proxy.upstream.direct import Direct, DirectAnswer, is_known
from tests.proxy.support import raw_server

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


async def test_a_connector_makes_our_connections() -> None:
    """By its `_factory`, with its `_loop`."""
    pool = Pool()
    async with pool, raw_server(answer_all) as origin, asyncio.timeout(TIME_LIMIT):
        assert pool._loop is asyncio.get_running_loop()
        connection = await pool.connect(template(origin), [], TIMES)
        assert type(connection.protocol) is type(pool._factory()) is not ResponseHandler
        connection.release()


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


async def test_a_protocol_is_asked_whether_it_is_connected_before_it_is_used_again() -> None:
    """And says no when it is out of step: that is what keeps unasked bytes away from the next request."""
    pool = Pool()
    async with pool, raw_server(answer_all) as origin, asyncio.timeout(TIME_LIMIT):
        first = await pool.connect(template(origin), [], TIMES)
        protocol = first.protocol
        assert protocol is not None
        first.release()
        second = await pool.connect(template(origin), [], TIMES)
        assert second.protocol is protocol
        second.release()
        protocol.force_close()
        assert protocol.transport is not None
        assert not protocol.is_connected()
        third = await pool.connect(template(origin), [], TIMES)
        assert third.protocol is not protocol
        third.release()


@pytest.mark.parametrize("pieces", [1, 20])
def test_a_piece_sets_no_timer_of_its_own(pieces: int) -> None:
    """One timer serves all of an answer, and the next ones; it ends with the connection."""
    calls = 0

    class Counting(asyncio.SelectorEventLoop):
        def call_at(self, when: float, callback: Any, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:  # type: ignore[override]
            nonlocal calls
            calls += "PooledConnection._look" in getattr(callback, "__qualname__", "")
            return super().call_at(when, callback, *args, **kwargs)

    async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % pieces)
            for _ in range(pieces):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0)

    async def main() -> None:
        pool = Pool()
        async with pool, raw_server(in_pieces) as origin, asyncio.timeout(TIME_LIMIT):
            direct = Direct(pool)
            for _ in range(3):
                assert len(await (await get(direct, origin)).content.read()) == pieces

    with asyncio.Runner(loop_factory=Counting) as runner:
        runner.run(main())
    assert calls == 1


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

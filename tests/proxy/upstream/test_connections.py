"""Pooled connections, and what they rely on of aiohttp's inner names, each by itself."""

import asyncio
import inspect
import socket
from collections import deque
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from yarl import URL

from jmap_proxy.proxy.upstream.connections import Pool, PooledConnection
from jmap_proxy.proxy.upstream.direct import Direct
from tests.proxy.support import raw_server
from tests.proxy.upstream.scripts import EMPTY, OK, OTHER, TIME_LIMIT, TIMES, Peer, Server, answering, once, serving
from tests.proxy.upstream.waiting import Waiting, pooling

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(OK)


def template(origin: str) -> ClientRequest:
    """What a connector wants to know of a request."""
    return ClientRequest("GET", URL(origin), loop=asyncio.get_running_loop())


def key_of(server: Server) -> ConnectionKey:
    """By which the pool knows the server's connections."""
    return template(server.origin).connection_key


async def rest(pool: Pool, server: Server, number: int = 1) -> list[PooledConnection]:
    """Connections that rest, each after an answer; the oldest is the first."""
    made = [await pool.connect(template(server.origin), [], TIMES) for _ in range(number)]
    protocols = []
    for connection in made:
        protocol = connection.protocol
        assert isinstance(protocol, PooledConnection)
        asker = Waiting()
        protocol.ask(REQUEST, 5, asker)
        await asker.heard_first()
        protocol.answer_taken()
        connection.release()
        protocols.append(protocol)
    return protocols


def taken(pool: Pool, server: Server) -> PooledConnection:
    """One that rested."""
    protocol = pool.take(key_of(server))
    assert protocol is not None
    return protocol


async def test_a_connector_makes_our_connections() -> None:
    """By its `_factory`, with its `_loop`."""
    pool = Pool()
    async with pool, raw_server(answer_all) as origin, asyncio.timeout(TIME_LIMIT):
        assert pool._loop is asyncio.get_running_loop()
        connection = await pool.connect(template(origin), [], TIMES)
        assert type(connection.protocol) is type(pool._factory()) is not ResponseHandler
        connection.release()


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
                assert len(await (await direct.request("GET", origin, [], b"", TIMES)).content.read()) == pieces

    with asyncio.Runner(loop_factory=Counting) as runner:
        runner.run(main())
    assert calls == 1


async def test_how_a_connector_keeps_what_rests() -> None:
    """`_conns` by key, in the order in which they went to rest, with the time; what is asked is in `_acquired`."""
    async with serving(answering(OK)) as server, pooling(keepalive_timeout=15) as pool:
        protocols = await rest(pool, server, 2)
        key = key_of(server)
        assert list(pool._conns) == [key]
        assert type(pool._conns[key]) is deque
        assert [protocol for protocol, _ in pool._conns[key]] == protocols
        assert all(type(since) is float for _, since in pool._conns[key])
        assert not pool._acquired
        assert pool._keepalive_timeout == 15
        connection = await pool.connect(template(server.origin), [], TIMES)
        assert connection.protocol is protocols[0]
        assert pool._acquired == {protocols[0]}
        connection.release()
    assert list(inspect.signature(aiohttp.BaseConnector._release).parameters) == [
        "self",
        "key",
        "protocol",
        "should_close",
    ]


async def test_what_is_taken_is_as_if_aiohttp_had_given_it() -> None:
    """The oldest one, asked by nobody else until it is put back; the last one of a key leaves nothing behind."""
    async with serving(answering(OK)) as server, pooling() as pool:
        protocols = await rest(pool, server, 2)
        assert [taken(pool, server), taken(pool, server)] == protocols
        assert pool.take(key_of(server)) is None
        assert (dict(pool._conns), pool._acquired) == ({}, set(protocols))
        for protocol in protocols:
            pool.put_back(key_of(server), protocol)
        assert not pool._acquired
        connection = await pool.connect(template(server.origin), [], TIMES)
        assert connection.protocol is protocols[0]
        connection.release()
    assert server.connections == 2


@pytest.mark.parametrize("how", ["should_close", "out_of_step"])
async def test_what_is_put_back_may_end(how: str) -> None:
    """If it should, or if more has come than was asked for."""
    async with serving(answering(OK)) as server, pooling() as pool:
        await rest(pool, server)
        protocol = taken(pool, server)
        if how == "out_of_step":
            protocol.parse(OK)
        pool.put_back(key_of(server), protocol, should_close=how == "should_close")
        assert pool.take(key_of(server)) is None
        assert not protocol.is_connected()
        assert (dict(pool._conns), pool._acquired) == ({}, set())


@pytest.mark.parametrize("how", ["aged", "closed", "unasked"])
async def test_what_must_not_be_used_again_is_not_taken(how: str) -> None:
    """It is left to `connect`, which puts it away."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await go.wait()
        if how == "unasked":
            await peer.say(OTHER)
            await peer.left()

    go = asyncio.Event()
    async with serving(script, once(EMPTY)) as server, pooling(keepalive_timeout=0 if how == "aged" else 15) as pool:
        (protocol,) = await rest(pool, server)
        if how != "aged":
            assert protocol.is_connected()
            go.set()
            while protocol.is_connected():  # noqa: ASYNC110 - there is no event for that
                await asyncio.sleep(0)
        assert pool.take(key_of(server)) is None
        connection = await pool.connect(template(server.origin), [], TIMES)
        assert connection.protocol is not protocol
        connection.close()
        go.set()


@pytest.mark.parametrize("news", [b"", OK, b"H"], ids=["its end", "an answer", "a byte"])
async def test_what_has_come_and_was_not_read_is_seen_before_a_connection_is_used_again(news: bytes) -> None:
    """In the same round of the loop: neither way of asking for a connection gives this one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        wanted = template(f"http://127.0.0.1:{listening.getsockname()[1]}")
        async with pooling() as pool, asyncio.timeout(TIME_LIMIT):
            first = await pool.connect(wanted, [], TIMES)
            protocol = first.protocol
            first.release()
            peer, _ = listening.accept()
            with peer:
                assert pool.take(wanted.connection_key) is protocol
                assert isinstance(protocol, PooledConnection)
                pool.put_back(wanted.connection_key, protocol)
                if news:
                    peer.send(news)
                else:
                    peer.shutdown(socket.SHUT_WR)
                assert pool.take(wanted.connection_key) is None
                second = await pool.connect(wanted, [], TIMES)
                assert second.protocol is not protocol
                second.release()


async def test_the_asker_is_told_once() -> None:
    """What comes next is for the parser, with all that it needs to read it."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()
        await peer.say(OTHER[:-2])
        await go.wait()
        await peer.say(OTHER[-2:])
        await peer.left()

    go = asyncio.Event()
    async with serving(script) as server, pooling() as pool:
        await rest(pool, server)
        protocol, asker = taken(pool, server), Waiting()
        protocol.ask(REQUEST, 5, asker)
        protocol.parse(await asker.heard_first())
        assert protocol.whole_answer() is None
        message, body = await protocol.read()
        go.set()
        assert (message.code, await body.read()) == (200, b"other")
        assert asker.told == [OTHER[:-2]]
        pool.put_back(key_of(server), protocol)


async def test_a_whole_answer_is_seen() -> None:
    """`_buffer` holds ((message, body), size) of each that was parsed, and `_payload` is the body of the last."""
    async with serving(answering(OK)) as server, pooling() as pool:
        await rest(pool, server)
        protocol = taken(pool, server)
        protocol.parse(OK)
        ((message, body), size) = protocol._buffer[0]
        assert (message.code, size) == (200, 0)
        assert protocol._payload is body
        assert protocol.whole_answer() is message
        protocol.answer_taken()
        assert not protocol._buffer
        assert protocol.is_connected()
        for data in (OK + OTHER, OK[:-1], OK[:9], b"HTTP/1.1 102 Processing\r\n\r\n" + OK):
            protocol.parse(data)
            assert protocol.whole_answer() is None
            protocol.answer_taken()
        pool.put_back(key_of(server), protocol, should_close=True)


@pytest.mark.parametrize("silence", [0.02, 5.0])
async def test_a_server_that_leaves_or_is_silent_is_told_by_nothing(silence: float) -> None:
    """The asker hears b"", and who reads gets the reason; `_read_timeout` is how long it may be silent."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()
        if silence < 1:
            await peer.left()

    async with serving(script) as server, pooling() as pool:
        await rest(pool, server)
        protocol, asker = taken(pool, server), Waiting()
        protocol.ask(REQUEST, silence, asker)
        assert protocol._read_timeout == silence
        assert await asker.heard_first() == b""
        with pytest.raises(aiohttp.SocketTimeoutError if silence < 1 else aiohttp.ServerDisconnectedError):
            await protocol.read()
        pool.put_back(key_of(server), protocol, should_close=True)
        assert asker.told == [b""]


async def test_no_more_is_waited_for_once_the_answer_is_taken() -> None:
    """A connection that rests is not ended for its silence."""
    async with serving(answering(OK)) as server, pooling() as pool:
        (protocol,) = await rest(pool, server)
        assert taken(pool, server) is protocol
        asker = Waiting()
        protocol.ask(REQUEST, 5, asker)
        await asker.heard_first()
        protocol.answer_taken()
        pool.put_back(key_of(server), protocol)
        silence = protocol._silence
        assert silence is not None
        silence.cancel()
        protocol._look()  # as the timer does
        assert protocol._silence is None
        assert protocol.is_connected()


async def test_what_is_ignored_is_told_to_nobody() -> None:
    """Neither the answer nor the end."""
    async with serving(answering(OK)) as server, pooling() as pool:
        await rest(pool, server)
        protocol, asker = taken(pool, server), Waiting()
        protocol.ask(REQUEST, 5, asker)
        protocol.ignore()
        while not protocol.should_close:  # noqa: ASYNC110 - there is no event for that
            await asyncio.sleep(0)
        protocol.set_exception(aiohttp.ClientPayloadError())
        assert asker.told == []
        pool.put_back(key_of(server), protocol, should_close=True)


async def test_a_lost_connection_cannot_be_asked() -> None:
    """As `Direct.request` tells it."""
    protocol, asker = PooledConnection(asyncio.get_running_loop()), Waiting()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        protocol.ask(REQUEST, 5, asker)
    assert asker.told == []


def test_aiohttp_calls_what_is_overridden() -> None:
    """By these names, with nothing but themselves."""
    for name in ("_reschedule_timeout", "_drop_timeout", "_on_read_timeout"):
        assert list(inspect.signature(getattr(ResponseHandler, name)).parameters) == ["self"]
        assert name in {*ResponseHandler.start_timeout.__code__.co_names, *_names(ResponseHandler)}


def _names(kind: type) -> set[str]:
    return {name for each in vars(kind).values() if inspect.isfunction(each) for name in each.__code__.co_names}

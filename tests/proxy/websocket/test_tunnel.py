import asyncio
import contextlib
import logging
import os
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.proxy.websocket.frames import close_frame
from jmap_proxy.proxy.websocket.tunnel import tunnel
from tests.proxy.support import Serve
from tests.proxy.websocket.upgrades import CHOSEN, OFFER, SWITCHED, reset, until, until_still
from tests.support.certificates import private_authority

GOODBYE = close_frame(1001)
SILENCE = 0.05
IMPATIENT = aiohttp.ClientTimeout(sock_read=SILENCE)
Before = Callable[[web.BaseRequest, aiohttp.ClientResponse], Awaitable[None]]
Streaming = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Tunnel:
    """A listener that joins each client with the server, and what there is to be seen of it."""

    port: int
    tasks: set[asyncio.Task[object]]
    http: aiohttp.ClientSession
    listener: Listener
    sockets: list[TransportSocket]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, behind: bytes = b"", tls: ssl.SSLContext | None = None) -> Streaming:
        """A client that has sent its handshake and `behind`, and has read the answer's head."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        self.writers.append(writer)
        writer.write("\r\n".join(["GET / HTTP/1.1", "Host: x", *OFFER, "", ""]).encode() + behind)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    def end(self) -> None:
        """End the tunnels, as the proxy ends them."""
        for task in self.tasks:
            task.cancel()

    async def none_left(self) -> None:
        """Wait until no tunnel is open and no connection is left on either side."""
        connector = self.http.connector
        assert connector is not None
        await until(lambda: not self.tasks and not connector._acquired and not connector._conns)
        await until(lambda: all(socket.fileno() < 0 for socket in self.sockets) and not len(self.listener.admission))


@dataclass(frozen=True)
class Encryption:
    """Server contexts for the listener and for the server, and what trusts them; None for plain connections."""

    listener: ssl.SSLContext | None = None
    server: ssl.SSLContext | None = None
    trust: ssl.SSLContext | None = None


PLAIN = Encryption()


@contextlib.contextmanager
def noted(tasks: set[asyncio.Task[object]]) -> Iterator[None]:
    """Hold the current task in the set while the context is open."""
    task = asyncio.current_task()
    assert task is not None
    tasks.add(task)
    try:
        yield
    finally:
        tasks.remove(task)


@contextlib.asynccontextmanager
async def tunnel_to(
    serve: Serve, tls: Encryption = PLAIN, patience: float = 10, before: Before | None = None
) -> AsyncIterator[Tunnel]:
    """A tunnel to a server that switches protocols at once and then does as `serve` says; `before` comes before it."""

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(SWITCHED)
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        scheme = "https" if tls.server else "http"
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        headers = dict(line.split(": ") for line in OFFER)
        with noted(tasks):
            async with http.get(url, headers=headers, ssl=tls.trust or True, timeout=IMPATIENT) as upstream:
                response = web.StreamResponse(status=101, headers=dict(line.split(": ") for line in CHOSEN))
                response.force_close()
                await response.prepare(request)
                for side in (request, upstream.connection):
                    assert side is not None
                    assert side.transport is not None
                    sockets.append(side.transport.get_extra_info("socket"))
                if before is not None:
                    await before(request, upstream)
                await tunnel(request, upstream, patience)
                return response

    tasks, sockets = set[asyncio.Task[object]](), list[TransportSocket]()
    server = await asyncio.start_server(switch, "127.0.0.1", 0, ssl=tls.server)
    async with aiohttp.ClientSession() as http:
        listener = Listener(answer, tls=tls.listener, patience=0.2)
        origin = await listener.open("127.0.0.1", 0)
        opened = Tunnel(int(origin.rpartition(":")[2]), tasks, http, listener, sockets)
        try:
            yield opened
        finally:
            for writer in opened.writers:
                writer.close()
            opened.end()
            await listener.close()
            server.close()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """See that nobody has complained: asyncio and aiohttp log what they do not raise."""
    caplog.set_level(logging.INFO)
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


@pytest.fixture(params=["plain", "TLS to the server", "TLS on both sides"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Encryption:
    """Each way to encrypt."""
    if request.param == "plain":
        return PLAIN
    ca_file, context = private_authority(tmp_path)
    trust = ssl.create_default_context(cafile=ca_file)
    return Encryption(context if request.param == "TLS on both sides" else None, context, trust)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, to its end."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes as fast as they are taken."""
    for start in range(0, len(data), 1 << 16):
        writer.write(data[start : start + (1 << 16)])
        await writer.drain()


async def check_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> None:
    """See that bytes go there and come back as they were."""
    data = os.urandom(size)
    sending = asyncio.create_task(send(writer, data))
    assert await reader.readexactly(size) == data
    await sending


async def test_bytes_pass_both_ways(tls: Encryption) -> None:
    """20 MiB there and back at the same time, byte for byte."""
    async with tunnel_to(echo, tls) as opened:
        reader, writer = await opened.connect(tls=tls.trust if tls.listener else None)
        await check_echo(reader, writer, 20 << 20)
        writer.close()
        await opened.none_left()


def test_the_same_with_uvloop(tmp_path: Path) -> None:
    """Its transports differ in what they allow when."""
    ca_file, context = private_authority(tmp_path)
    trust = ssl.create_default_context(cafile=ca_file)

    async def scenario(tls: Encryption) -> None:
        async with tunnel_to(echo, tls) as opened:
            reader, writer = await opened.connect()
            await check_echo(reader, writer, 20 << 20)
            if tls is PLAIN:
                writer.write_eof()
                assert await reader.read() == b""
            writer.close()
            await opened.none_left()
            reader, writer = await opened.connect()
            opened.end()
            assert await reader.read() == GOODBYE
            await opened.none_left()

    uvloop.run(scenario(PLAIN))
    uvloop.run(scenario(Encryption(None, context, trust)))


@pytest.mark.parametrize("size", [1, 1_000_000])
async def test_bytes_right_behind_the_handshake_pass(tls: Encryption, size: int) -> None:
    """Those that a side has sent before it knew of the other one, also more of them than aiohttp reads ahead."""
    from_client, from_server = os.urandom(size), os.urandom(size)
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(from_server)
        got.set_result(await reader.readexactly(size))
        await reader.read()

    async with tunnel_to(serve, tls) as opened:
        reader, _ = await opened.connect(from_client, tls.trust if tls.listener else None)
        assert await reader.readexactly(size) == from_server
        assert await got == from_client


async def test_last_words_of_a_server_that_leaves_at_once_arrive(tls: Encryption) -> None:
    """It closes right behind its 101; the client gets what it said, and the end."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(close_frame(1008))

    async with tunnel_to(serve, tls) as opened:
        reader, writer = await opened.connect(tls=tls.trust if tls.listener else None)
        assert await reader.read() == close_frame(1008)
        writer.close()
        await opened.none_left()


async def test_a_server_that_has_left_before_the_tunnel_began_is_heard(tls: Encryption) -> None:
    """Its last words arrive, and the end."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(close_frame(1008))

    async def gone(_request: web.BaseRequest, upstream: aiohttp.ClientResponse) -> None:
        await until(lambda: upstream.connection is None or upstream.connection.transport is None)

    async with tunnel_to(serve, tls, before=gone) as opened:
        reader, _ = await opened.connect(tls=tls.trust if tls.listener else None)
        assert await reader.read() == close_frame(1008)
        await opened.none_left()


async def test_a_silent_tunnel_stays() -> None:
    """The time that an answer may take between two pieces does not count any more, bytes before the switch or not."""
    later = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await echo(reader, writer)

    async with tunnel_to(serve) as opened:
        reader, writer = await opened.connect()
        assert await reader.readexactly(5) == b"hello"
        asyncio.get_running_loop().call_later(SILENCE * 3, later.set)
        await later.wait()
        await check_echo(reader, writer, 100)


async def test_a_client_that_does_not_read_from_the_start_is_waited_for() -> None:
    """Its connection is full already when the tunnel begins: nothing of the server's is read on top of that."""
    sent, writers, full = [0], list[asyncio.StreamWriter](), 16 << 20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await in_64_mib(writer.write, writer.drain, sent)
        await reader.read()

    async def fill(request: web.BaseRequest, _upstream: aiohttp.ClientResponse) -> None:
        assert request.transport is not None
        request.transport.write(bytes(full))

    async with tunnel_to(serve, before=fill) as opened:
        reader, _ = await opened.connect()
        await until_still(lambda: (sent[0], writers[0].transport.get_write_buffer_size()))
        assert 0 < sent[0] < 32 << 20
        await read_all(reader, full + (64 << 20) + 10)
        assert sent[0] == 64 << 20


async def test_a_client_that_has_ended_still_hears() -> None:
    """The server sees the end, and what it says behind it arrives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())

    async with tunnel_to(serve) as opened:
        reader, writer = await opened.connect()
        writer.write(b"last words")
        writer.write_eof()
        assert await reader.read() == b"got last words"
        await opened.none_left()


async def test_a_server_that_has_ended_still_hears() -> None:
    """The client sees the end, and what it says behind it arrives."""
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        writer.write_eof()
        got.set_result(await reader.read())

    async with tunnel_to(serve) as opened:
        reader, writer = await opened.connect()
        assert await reader.read() == b"last words"
        writer.write(b"I see")
        writer.write_eof()
        assert await got == b"I see"
        await opened.none_left()


async def test_where_tls_cannot_tell_an_end_the_connection_is_closed(tmp_path: Path) -> None:
    """What the client has said before is there."""
    ca_file, context = private_authority(tmp_path)
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.read())

    tls = Encryption(None, context, ssl.create_default_context(cafile=ca_file))
    async with tunnel_to(serve, tls) as opened:
        reader, writer = await opened.connect()
        writer.write(b"last words")
        writer.write_eof()
        assert await got == b"last words"
        assert await reader.read() == b""
        await opened.none_left()


@pytest.mark.parametrize("leave", [asyncio.StreamWriter.close, reset])
async def test_a_client_that_leaves_ends_the_servers_connection(
    tls: Encryption, leave: Callable[[asyncio.StreamWriter], None]
) -> None:
    """At once, and nothing stays behind."""
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()

    async with tunnel_to(serve, tls) as opened:
        tasks = len(asyncio.all_tasks())
        reader, writer = await opened.connect(tls=tls.trust if tls.listener else None)
        await reader.readexactly(5)
        leave(writer)
        await left.wait()
        await opened.none_left()
        await until(lambda: len(asyncio.all_tasks()) == tasks)


async def test_a_server_that_breaks_off_ends_the_clients_connection() -> None:
    """No Close frame is made up: the client sees an abnormal end and connects again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        reset(writer)

    async with tunnel_to(serve) as opened:
        reader, writer = await opened.connect(b"go")
        assert await reader.read() == b""
        writer.close()
        await opened.none_left()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"", GOODBYE),
        (b"\x81\x02hi", b"\x81\x02hi" + GOODBYE),
        (b"\x81\x02h", b"\x81\x02h"),
        (close_frame(1000), close_frame(1000)),
    ],
)
async def test_an_end_by_the_proxy_is_told_where_that_is_possible(tls: Encryption, said: bytes, heard: bytes) -> None:
    """By a Close frame between two frames, never inside one, and never by a second one."""
    left, there = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.readexactly(2)
        there.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()

    async with tunnel_to(serve, tls) as opened:
        reader, _ = await opened.connect(b"go", tls.trust if tls.listener else None)
        first = await reader.readexactly(len(said))
        await there.wait()
        opened.end()
        assert first + await reader.read() == heard
        await left.wait()
        await opened.none_left()


@pytest.mark.parametrize("side", ["client", "server"])
async def test_an_end_by_the_proxy_when_one_side_has_ended(side: str) -> None:
    """A client that has ended can still be told; to one that was told of the server's end nothing is said any more."""
    ended, hold = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if side == "client":
            assert await reader.read() == b""
        else:
            writer.write_eof()
        ended.set()
        await hold.wait()

    async with tunnel_to(serve) as opened:
        reader, writer = await opened.connect()
        if side == "client":
            writer.write_eof()
        else:
            assert await reader.read() == b""
        await ended.wait()
        opened.end()
        assert await reader.read() == (GOODBYE if side == "client" else b"")
        hold.set()
        await opened.none_left()


def in_64_mib(write: Callable[[bytes], None], drain: Callable[[], Coroutine[Any, Any, None]], sent: list[int]) -> Any:
    """Send a message of 64 MiB, and note how much has been taken."""

    async def send_all() -> None:
        write(b"\x82\x7f" + (64 << 20).to_bytes(8))
        for _ in range(1024):
            write(bytes(1 << 16))
            sent[0] += 1 << 16
            await drain()

    return send_all()


async def read_all(reader: asyncio.StreamReader, size: int) -> None:
    """Read so many bytes and forget them."""
    while size:
        data = await reader.read(min(size, 1 << 20))
        assert data
        size -= len(data)


async def test_the_client_waits_for_a_slow_server(tls: Encryption) -> None:
    """What lies between the two is bounded: of 64 MiB only a little is taken while the server does not read."""
    go, sent, done = asyncio.Event(), [0], asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await read_all(reader, (64 << 20) + 10)
        done.set()

    async with tunnel_to(serve, tls) as opened:
        _, writer = await opened.connect(tls=tls.trust if tls.listener else None)
        sending = asyncio.create_task(in_64_mib(writer.write, writer.drain, sent))
        await until_still(lambda: (sent[0], writer.transport.get_write_buffer_size()))
        assert 0 < sent[0] < 32 << 20  # the kernel's socket buffers make up most of it
        go.set()
        await done.wait()
        await sending


async def test_the_server_waits_for_a_slow_client(tls: Encryption) -> None:
    """The same the other way round."""
    sent, writers = [0], list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await in_64_mib(writer.write, writer.drain, sent)
        await reader.read()

    async with tunnel_to(serve, tls) as opened:
        reader, _ = await opened.connect(tls=tls.trust if tls.listener else None)
        await until_still(lambda: (sent[0], writers[0].transport.get_write_buffer_size()))
        assert 0 < sent[0] < 32 << 20
        await read_all(reader, (64 << 20) + 10)
        assert sent[0] == 64 << 20


async def test_a_client_that_never_reads_does_not_keep_its_connection(tls: Encryption) -> None:
    """When the proxy ends the tunnel, what is left gets its time and is dropped then."""
    sent = [0]

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await in_64_mib(writer.write, writer.drain, sent)

    async with tunnel_to(serve, tls, patience=0.05) as opened:
        await opened.connect(tls=tls.trust if tls.listener else None)
        await until_still(lambda: sent[0])
        opened.end()
        await opened.none_left()


async def test_a_server_that_never_reads_does_not_keep_its_connection(tls: Encryption) -> None:
    """The same the other way round."""
    sent, end = [0], asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await end.wait()

    async with tunnel_to(serve, tls, patience=0.05) as opened:
        _, writer = await opened.connect(tls=tls.trust if tls.listener else None)
        sending = asyncio.create_task(in_64_mib(writer.write, writer.drain, sent))
        await until_still(lambda: sent[0])
        opened.end()
        await opened.none_left()
        with pytest.raises(ConnectionError):
            await sending
        end.set()

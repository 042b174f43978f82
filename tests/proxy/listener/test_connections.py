import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from aiohttp import web
from aiohttp.http import HttpRequestParser, RawRequestMessage

from jmap_proxy.proxy.listener.connections import KEEP_ALIVE, MOST_READ_AWAY
from tests.proxy.listener.hosting import HEAD, PATIENCE, Host, answer, hosting
from tests.support.certificates import private_authority


async def test_half_a_head_gets_408(host: Host) -> None:
    """In time, as problem details, and the connection ends."""
    reader, _ = await host.connect(HEAD[:-1])
    host.clock.now = PATIENCE
    assert host.listener.admission.end_late() == 1
    status, fields, body = await answer(reader)
    assert (status, fields["Content-Type"], fields["Connection"]) == (408, "application/problem+json", "close")
    assert json.loads(body)["type"] == "urn:jmap-proxy:error:head-timeout"
    assert await reader.read() == b""


async def test_bytes_that_trickle_do_not_gain_time(host: Host) -> None:
    """What counts is when the head began."""
    reader, writer = await host.connect(HEAD[:5])
    host.clock.now = PATIENCE - 1
    writer.write(HEAD[5:9])
    await host.connect()
    host.clock.now = PATIENCE
    assert host.listener.admission.end_late() == 1
    assert (await answer(reader))[0] == 408


async def test_silence_is_just_ended(host: Host) -> None:
    """Who has sent nothing, gets nothing: a client may open a connection ahead, and would take a 408 for its answer."""
    reader, _ = await host.connect()
    host.clock.now = PATIENCE
    assert host.listener.admission.end_late() == 1
    assert await reader.read() == b""


async def test_the_next_head_has_its_own_time(host: Host) -> None:
    """A kept connection may be idle for longer; once the next request has begun, its time runs."""
    reader, writer = await host.connect(HEAD)
    assert (await answer(reader))[0] == 200
    host.clock.now = PATIENCE
    assert host.listener.admission.end_late() == 0
    writer.write(HEAD[:3])
    await host.connect()
    host.clock.now = 2 * PATIENCE
    assert host.listener.admission.end_late() >= 1
    assert (await answer(reader))[0] == 408
    assert await reader.read() == b""


async def test_a_body_is_not_a_head(host: Host) -> None:
    """A body that comes piece by piece, and its last piece, start no clock; another limit is about those."""
    reader, writer = await host.connect(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n1")
    await host.entered.wait()
    for piece in (b"2", b"3"):
        writer.write(piece)
        await host.connect(HEAD)
        host.clock.now += PATIENCE
        assert host.listener.admission.end_late() == 0
    host.go.set()
    assert (await answer(reader))[0] == 200
    host.clock.now += PATIENCE
    assert host.listener.admission.end_late() == 0


async def test_a_late_head_costs_an_earlier_request_nothing(host: Host) -> None:
    """What is half pipelined behind it only ends the connection afterwards."""
    reader, writer = await host.connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    await host.entered.wait()
    writer.write(HEAD[:3])
    await host.connect(HEAD)
    host.clock.now = PATIENCE
    assert host.listener.admission.end_late() == 1
    host.go.set()
    assert (await answer(reader))[0] == 200
    assert await reader.read() == b""


async def test_rounds_are_made() -> None:
    """Nobody has to ask for it."""
    async with hosting(head=0.01) as host:
        reader, _ = await host.connect(HEAD[:5])
        host.clock.now = 1
        assert (await answer(reader))[0] == 408


async def test_a_tls_handshake_has_to_come_to_its_end(tmp_path: Path) -> None:
    """A client that opens a connection to the https port and says nothing is put out."""
    _, context = private_authority(tmp_path)
    async with hosting(tls=context, head=0.05) as host:
        reader, _ = await host.connect()
        assert await reader.read() == b""


async def test_newcomers_make_room() -> None:
    """A client that sends its request is served although all places are taken by some that have not."""
    async with hosting(connections=2) as host:
        first, _ = await host.connect(HEAD[:5])
        second, _ = await host.connect()
        third, _ = await host.connect(HEAD)
        assert (await answer(third))[0] == 200
        assert await first.read() == b""
        assert not second.at_eof()
        assert len(host.listener.admission) == 2


async def test_idle_connections_make_room() -> None:
    """After the newcomers, it is the one that has been idle longest."""
    async with hosting(connections=2) as host:
        readers = []
        for _ in range(2):
            reader, _ = await host.connect(HEAD)
            assert (await answer(reader))[0] == 200
            readers.append(reader)
        new, _ = await host.connect(HEAD)
        assert (await answer(new))[0] == 200
        assert await readers[0].read() == b""
        assert not readers[1].at_eof()


async def test_when_all_are_at_work_a_new_one_is_told() -> None:
    """503 with Retry-After; those at work are not disturbed, and a place that becomes free is given away again."""
    async with hosting(connections=1) as host:
        busy, busy_writer = await host.connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await host.entered.wait()
        reader, _ = await host.connect(HEAD)
        status, fields, body = await answer(reader)
        assert (status, fields["Retry-After"], fields["Connection"]) == (503, "1", "close")
        assert json.loads(body)["type"] == "urn:jmap-proxy:error:too-many-connections"
        host.go.set()
        assert (await answer(busy))[0] == 200
        busy_writer.close()
        reader, _ = await host.connect(HEAD)
        assert (await answer(reader))[0] == 200


def test_uvloop_makes_no_difference_to_a_full_house() -> None:
    """Its transports are of other classes; who finds no place is told and does not stay."""

    async def find_no_place() -> tuple[int, bytes]:
        async with hosting(connections=1) as host, asyncio.timeout(PATIENCE):
            await host.connect(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await host.entered.wait()
            reader, _ = await host.connect(HEAD)
            told, _, _ = await answer(reader)
            return told, await reader.read()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(find_no_place()) == (503, b"")


async def test_a_refusal_reaches_a_client_that_is_still_sending(host: Host) -> None:
    """Its body is read away for a while, so that no reset overtakes the answer."""
    size = MOST_READ_AWAY // 2
    reader, writer = await host.connect(b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    writer.write(bytes(size))
    await writer.drain()
    status, fields, body = await answer(reader)
    assert (status, fields["Connection"], body) == (401, "close", b"served")
    assert await reader.read() == b""


async def test_but_not_for_ever(host: Host) -> None:
    """Who goes on sending is cut."""
    _, writer = await host.connect(b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
    with pytest.raises(ConnectionError):
        await _send_for_ever(writer)


async def _send_for_ever(writer: asyncio.StreamWriter, size: int = 1 << 20, pause: float = 0) -> None:
    while True:
        writer.write(bytes(size))
        await writer.drain()
        await asyncio.sleep(pause)


async def test_nor_does_a_silent_client_hold_the_connection(host: Host) -> None:
    """One that was asked for its body and neither sends it nor leaves: its place is free after a short time."""
    reader, writer = await host.connect(b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n")
    assert (await answer(reader))[0] == 401
    assert await reader.read() == b""
    async with asyncio.timeout(8):  # aiohttp would take ten seconds
        with pytest.raises(ConnectionError):
            await _send_for_ever(writer, size=1, pause=0.05)
    assert len(host.listener.admission) == 0


async def test_a_small_body_that_nobody_wants_does_not_cost_the_connection(host: Host) -> None:
    """A client that is asked for its key sends the request again on the same connection."""
    reader, writer = await host.connect(b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
    status, fields, _ = await answer(reader)
    assert status == 401
    assert "Connection" not in fields
    writer.write(b"abc" + HEAD)
    assert (await answer(reader))[0] == 200


async def test_an_upgrade_that_is_declined_ends_the_connection(host: Host) -> None:
    """A client that offers h2c gets its answer; what it sends behind that would be dropped, so it is told to close."""
    reader, _ = await host.connect(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    status, fields, _ = await answer(reader)
    assert (status, fields["Connection"]) == (200, "close")


# What is relied on of aiohttp's inner names, each by itself.

UPGRADE = HEAD[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@dataclass
class Bare:
    """A connection of aiohttp's own, to which bytes are given by hand; its answers wait for `go`."""

    connection: web.RequestHandler
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[str] = field(default_factory=list)

    def lull(self) -> asyncio.Future[None]:
        """Let its task not be woken; what it waits at."""
        waiter, self.connection._waiter = self.connection._waiter, None
        assert waiter is not None
        return waiter

    async def waits(self) -> None:
        """Wait until its task waits for the next request."""
        while self.connection._waiter is None:  # noqa: ASYNC110 - there is no event for that
            await asyncio.sleep(0)


@pytest.fixture
async def bare() -> AsyncIterator[Bare]:
    """Give one whose task waits for its first request."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        made.seen.append(request.path)
        await made.go.wait()
        return web.Response(body=b"served")

    server = web.Server(serve, keepalive_timeout=KEEP_ALIVE)
    async with asyncio.timeout(PATIENCE):
        sockets = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", sockets.sockets[0].getsockname()[1])
        while not server.connections:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        made = Bare(server.connections[0], reader, writer)
        await made.waits()
        yield made
        writer.close()
        sockets.close()
        await server.shutdown(0.01)  # 0 would be: without end


async def test_start_waits_at_a_waiter(bare: Bare) -> None:
    """It is what is woken by a request, and by nothing else."""
    waiter = bare.connection._waiter
    assert waiter is not None
    bare.connection.data_received(HEAD[:-2])
    assert not waiter.done()
    bare.connection.data_received(HEAD[-2:])
    assert waiter.done()
    bare.go.set()
    assert (await answer(bare.reader))[0] == 200
    await bare.waits()


async def test_without_a_waiter_nobody_is_woken(bare: Bare) -> None:
    """What came then is answered once who waits is woken by hand."""
    bare.go.set()
    waiter = bare.lull()
    bare.connection.data_received(HEAD)
    assert not waiter.done()
    bare.connection._waiter = waiter
    waiter.set_result(None)
    assert (await answer(bare.reader))[0] == 200


async def test_a_message_that_was_taken_is_not_answered(bare: Bare) -> None:
    """It is popped from `_messages`, and the parser told; the next one is answered as ever."""
    bare.go.set()
    waiter = bare.lull()
    bare.connection.data_received(HEAD.replace(b"/", b"/taken", 1))
    message, body = bare.connection._messages.pop()
    assert isinstance(message, RawRequestMessage)
    assert (message.path, body.is_eof()) == ("/taken", True)
    assert not bare.connection._messages
    assert isinstance(bare.connection._parser, HttpRequestParser)
    bare.connection._parser.message_consumed()
    bare.connection._waiter = waiter
    bare.connection.data_received(HEAD.replace(b"/", b"/next", 1))
    assert (await answer(bare.reader))[0] == 200
    assert bare.seen == ["/next"]


async def test_the_parser_counts_what_has_not_been_consumed(bare: Bare) -> None:
    """Who takes messages must tell it: it stops after so many."""
    connection, _ = bare.connection, bare.lull()
    most = connection._max_msg_queue_size
    assert isinstance(connection._parser, HttpRequestParser)
    for _ in range(2 * most):
        connection.data_received(HEAD)
        assert connection._messages.pop()
        connection._parser.message_consumed()
    connection.data_received(HEAD * 2 * most)
    assert len(connection._messages) == most


async def test_requests_are_counted_and_the_latest_is_last(bare: Bare) -> None:
    """Malformed ones too, which are no messages."""
    connection, _ = bare.connection, bare.lull()
    for number in (1, 2):
        connection.data_received(HEAD.replace(b"/", b"/%d" % number, 1))
        assert connection._request_count == number
        message, _ = connection._messages[-1]
        assert isinstance(message, RawRequestMessage)
        assert message.path == f"/{number}"
    connection.data_received(b"nonsense\r\n\r\n")
    assert connection._request_count == 3
    assert not isinstance(connection._messages[-1][0], RawRequestMessage)


async def test_the_keepalive_timer_ends_a_resting_connection(bare: Bare) -> None:
    """By `_process_keepalive`, once `_next_keepalive_close_time` has come; while a request is answered, it does not."""
    connection, now = bare.connection, asyncio.get_running_loop().time
    handle = connection._keepalive_handle
    assert isinstance(handle, asyncio.TimerHandle)
    assert handle._callback == connection._process_keepalive  # type: ignore[attr-defined]
    assert 0 < connection._next_keepalive_close_time - now() <= KEEP_ALIVE
    handle.cancel()
    connection._process_keepalive()  # too early
    again = connection._keepalive_handle
    assert isinstance(again, asyncio.TimerHandle)
    assert again.when() == connection._next_keepalive_close_time
    again.cancel()
    connection.data_received(HEAD)
    while not bare.seen:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    connection._next_keepalive_close_time = 0
    connection._process_keepalive()
    assert connection._keepalive_handle is None
    bare.go.set()
    assert (await answer(bare.reader))[0] == 200
    await bare.waits()
    connection._next_keepalive_close_time = 0
    connection._process_keepalive()
    assert await bare.reader.read() == b""


async def test_a_connection_whose_writing_is_paused_says_so(bare: Bare) -> None:
    """By `_paused`."""
    seen = [bare.connection._paused]
    for change in (bare.connection.pause_writing, bare.connection.resume_writing):
        change()
        seen.append(bare.connection._paused)
    assert seen == [False, True, False]


async def test_what_is_being_answered(bare: Bare) -> None:
    """As long as it lasts, `_request_in_progress` says so."""
    seen = [bare.connection._request_in_progress]
    bare.connection.data_received(HEAD)
    while not bare.seen:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    seen.append(bare.connection._request_in_progress)
    bare.go.set()
    await answer(bare.reader)
    await bare.waits()
    assert [*seen, bare.connection._request_in_progress] == [False, True, False]


async def test_after_an_upgrade_bytes_are_no_requests(bare: Bare) -> None:
    """`_upgraded` says so, and `_payload_parser` is what would take them."""
    bare.lull()
    assert (bare.connection._upgraded, bare.connection._payload_parser) == (False, None)
    bare.connection.data_received(UPGRADE)
    assert bare.connection._upgraded == True  # noqa: E712 - mypy would take it for impossible
    bare.connection.data_received(HEAD)
    assert len(bare.connection._messages) == 1


@pytest.mark.parametrize("name", ["_close", "_force_close"])
async def test_a_connection_that_is_to_close_takes_no_more_requests(bare: Bare, name: str) -> None:
    """Whoever sets it: `close` the one, `force_close` the other."""
    assert getattr(bare.connection, name) is False
    getattr(bare.connection, name.removeprefix("_"))()
    assert getattr(bare.connection, name) is True
    bare.connection.data_received(HEAD)
    assert not bare.connection._messages


async def test_how_long_a_body_is_read_away(bare: Bare) -> None:
    """By `_lingering_time`; with 0 the connection is closed at once."""
    assert bare.connection._lingering_time == 10.0
    bare.connection._lingering_time = 0.0
    bare.go.set()
    bare.connection.data_received(HEAD[:-2] + b"Content-Length: 9\r\n\r\n")
    assert (await answer(bare.reader))[0] == 200
    assert await bare.reader.read() == b""

"""Which way API calls go on clients' connections, and that nothing else depends on it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage

from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.fast.lane import SMALL
from jmap_proxy.proxy.passage import Unobserved
from tests.proxy.listener.ways import (
    FAIL,
    HALVES,
    LARGE,
    LEAVE,
    ORDINARY,
    WAIT,
    Caller,
    Place,
    nothing_is_left,
    placed,
    until,
)
from tests.proxy.noting_lane import CARRIED_ON, FAST
from tests.proxy.support import KEY
from tests.support.certificates import private_authority

if TYPE_CHECKING:
    from pathlib import Path


async def test_calls_go_fast_once_a_connection_to_the_server_rests(place: Place) -> None:
    """The first one has to make it."""
    caller, bodies = await place.connect(), [b"one", b"two", b"3", b"x" * 900]
    assert [await caller.call(body) for body in bodies] == bodies
    assert place.ways == [ORDINARY, FAST, FAST, FAST]
    assert (place.server.connections, place.server.calls) == (1, bodies)


async def test_a_call_that_goes_fast_has_no_task_and_no_timer(place: Place, caller: Caller) -> None:
    """Nor has its answer; in the ordinary way there is a task for each. This is what the fast way is for."""
    loop: Any = asyncio.get_running_loop()
    tasks = list[str]()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any) -> asyncio.Task[Any]:
        tasks.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **settings)

    await caller.call(b"{}")  # has the timer of the server's silence set, which then serves for many
    before = len(loop._scheduled)
    loop.set_task_factory(make)
    try:
        for number in range(10):
            await caller.call(b"{}" * number + b"1")
        fast, timers = list(tasks), len(loop._scheduled)
        place.serve(None)
        for _ in range(10):
            await caller.call(b"{}")
    finally:
        loop.set_task_factory(None)
    assert (fast, timers) == ([], before)
    assert tasks.count("RequestHandler._handle_request") == 10
    assert place.ways == [FAST] * 11 + [ORDINARY] * 10


async def test_the_first_call_on_a_connection_can_go_fast(place: Place, caller: Caller) -> None:
    """What has to rest is the connection to the server, whoever opened it."""
    other = await place.connect()
    assert await other.call(b"other") == b"other"
    assert await caller.call(b"one") == b"one"
    assert place.ways == [FAST, FAST]
    assert place.server.connections == 1


async def test_a_head_that_differs_is_learned_anew(place: Place, caller: Caller) -> None:
    """And so is the one before, when it comes again; more often than aiohttp lets unanswered requests wait."""
    for number in range(100):
        caller.writer.write(caller.request(b"{}", f"X-Field: {number % 2}"))
        assert await caller.body() == b"{}"
    assert place.ways == [FAST] * 100
    caller.send(b"one", b"two")
    assert [await caller.body() for _ in range(2)] == [b"one", b"two"]


@pytest.mark.parametrize("uses_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_by_tls_and_by_a_unix_socket(tmp_path: Path, *, uses_uvloop: bool) -> None:
    """The same ways, with either loop's transports."""
    ca_file, context = private_authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(ca_file))
    trusting.check_hostname = False
    path = str(tmp_path / "s")

    async def main() -> None:
        async with placed(tls=context) as secure:
            caller = await secure.connect(tls=trusting)
            assert [await caller.call(body) for body in (b"one", b"two", b"three")] == [b"one", b"two", b"three"]
            assert secure.ways == [ORDINARY, FAST, FAST]
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(path)
        async with placed() as place:
            await place.proxy.listener.open_socket(bound)
            caller = await place.connect(path)
            assert [await caller.call(body) for body in (b"one", b"two", b"three")] == [b"one", b"two", b"three"]
            assert place.ways == [ORDINARY, FAST, FAST]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uses_uvloop else None) as runner:
        runner.run(main())


async def test_a_body_that_comes_later_goes_the_ordinary_way(place: Place, caller: Caller) -> None:
    """Where it ends is known, so that the next call goes fast again."""
    whole = caller.request(b"later")
    for late in (5, 1):
        caller.writer.write(whole[:-late])
        await until(lambda: place.connection()._boundary._owed)
        caller.writer.write(whole[-late:])
        assert await caller.body() == b"later"
        assert await caller.call(b"{}") == b"{}"
    assert place.ways == [ORDINARY, FAST, ORDINARY, FAST]


@pytest.mark.parametrize("at", [1, 30, -9])
async def test_after_half_a_head_the_connection_stays_on_the_ordinary_way(
    place: Place, caller: Caller, at: int
) -> None:
    """It is served as ever; where the head ends is not looked for."""
    whole = caller.request(b"later")
    caller.writer.write(whole[:at])
    await until(lambda: place.connection()._boundary._owed)
    caller.writer.write(whole[at:])
    assert await caller.body() == b"later"
    assert await caller.call(b"{}") == b"{}"
    assert place.ways == [ORDINARY, ORDINARY]


@pytest.mark.parametrize("pieces", [1, 3])
async def test_an_upload_leaves_the_connection_in_step(place: Place, caller: Caller, pieces: int) -> None:
    """Its length is told by Content-Length."""
    head = caller.request(b"", path=place.path("uploadUrl")).replace(b"Length: 0", b"Length: %d" % (1000 * pieces))
    caller.writer.write(head)
    for left in range(pieces, 0, -1):
        await until(lambda left=left: place.connection()._boundary._owed == 1000 * left)
        caller.writer.write(bytes(1000))
    assert await caller.body() == bytes(1000 * pieces)
    assert await caller.call(b"{}") == b"{}"
    assert place.ways == [ORDINARY, FAST]


@pytest.mark.parametrize("member", ["apiUrl", "uploadUrl"])
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_chunked_body_is_the_last_of_its_connection(
    place: Place, caller: Caller, member: str, pieces: int
) -> None:
    """Where it ends, only the parser knows; as ever, nothing is taken for a request behind it."""
    head = caller.request(b"", path=place.path(member)).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"3\r\nabc\r\n0\r\n\r\n"
    if pieces == 1:
        head, chunks = head + chunks, b""
    caller.writer.write(head)
    await until(lambda: place.connection()._boundary._owed)
    caller.writer.write(chunks + caller.request(b"never"))
    status, fields, body = await caller.answer()
    assert (status, fields["Connection"], body) == (200, "close", b"abc")
    assert await caller.is_ended()
    assert place.ways == [ORDINARY]


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n", b"\n", b"\r\n\r\n\r\n\r\n"])
async def test_empty_lines_in_front_of_a_call(place: Place, caller: Caller, before: bytes) -> None:
    """They are passed over (RFC 9112 §2.2), by the parser, and their CRLF is not taken for the end of the head."""
    caller.writer.write(before + caller.request(b"one"))
    assert await caller.body() == b"one"
    assert await caller.call(b"two") == b"two"
    assert place.ways == [ORDINARY, ORDINARY]
    assert place.server.calls[-2:] == [b"one", b"two"]


async def test_nonsense_behind_a_call_is_no_part_of_it(place: Place, caller: Caller) -> None:
    """Whoever sends it is told, and nothing of it goes to the server."""
    caller.writer.write(caller.request(b"one") + b"x")
    status, _, _ = await caller.answer()
    assert status == 400
    assert await caller.is_ended()
    assert place.server.calls == [b"first"]
    assert place.ways == []


@pytest.mark.parametrize("after", [b"\r\n", b"POST "])
async def test_what_comes_glued_to_a_call_is_not_part_of_it(place: Place, caller: Caller, after: bytes) -> None:
    """The parser sees both; the server gets the call as it was framed."""
    caller.writer.write(caller.request(b"one") + after)
    assert await caller.body() == b"one"
    assert place.server.calls[-1] == b"one"
    assert place.ways == [ORDINARY]


@pytest.mark.parametrize(
    ("version", "field", "connection"),
    [
        ("HTTP/1.0", "X-Field: 1", None),
        ("HTTP/1.0", "Connection: keep-alive", "keep-alive"),
        ("HTTP/1.1", "Connection: close", "close"),
        ("HTTP/1.1", "Connection: Upgrade\r\nUpgrade: h2c", "close"),
        ("HTTP/1.1", "Expect: 100-Continue", None),
    ],
)
async def test_calls_that_are_not_as_most_are(
    place: Place, caller: Caller, version: str, field: str, connection: str | None
) -> None:
    """They go the ordinary way, also where they come whole."""
    caller.writer.write(caller.request(b"{}", field).replace(b"HTTP/1.1", version.encode()))
    if "Expect" in field:
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    status, fields, body = await caller.answer()
    assert (status, fields.get("Connection"), body) == (200, connection, b"{}")
    assert place.ways == [ORDINARY]


async def test_a_large_call_goes_the_ordinary_way() -> None:
    """It leaves the connection in step, in however many pieces it comes."""
    async with placed(LARGE) as place:
        caller = await place.connect()
        await caller.in_step()
        for size in (SMALL + 1, 10 * SMALL):
            assert await caller.call(bytes(size)) == bytes(size)
            assert await caller.call(b"{}") == b"{}"
    assert place.ways == [ORDINARY] + [ORDINARY, FAST] * 2


async def test_an_answer_in_two_pieces_is_carried_on(place: Place, caller: Caller) -> None:
    """It comes whole, and the next call goes fast."""
    place.server.go.set()
    for _ in range(2):
        assert await caller.call(HALVES) == HALVES
        assert await caller.call(b"{}") == b"{}"
    assert place.ways == [FAST, CARRIED_ON, FAST] * 2
    assert place.server.connections == 1


async def test_another_status_is_carried_on(place: Place, caller: Caller) -> None:
    """The client sees the server's answer, and both connections go on."""
    caller.send(FAIL)
    status, _, body = await caller.answer()
    assert (status, body) == (500, FAIL)
    assert await caller.call(b"{}") == b"{}"
    assert place.ways == [FAST, CARRIED_ON, FAST]


async def test_a_server_that_leaves_without_an_answer(place: Place, caller: Caller) -> None:
    """502 for the call, which is not sent again; the client's connection goes on."""
    caller.send(LEAVE)
    status, _, body = await caller.answer()
    assert (status, json.loads(body)["type"]) == (502, "urn:jmap-proxy:error:upstream-unreachable")
    assert place.server.calls.count(LEAVE) == 1
    for _ in range(2):
        assert await caller.call(b"{}") == b"{}"
    assert place.ways == [FAST, CARRIED_ON, ORDINARY, FAST]


async def test_an_unforeseen_error_ends_the_connection() -> None:
    """The client is told so and does not wait for ever; nothing is left behind."""

    class Failing(Unobserved):
        calls = 0

        def answered(self, kind: str, status: int, seconds: float) -> None:
            super().answered(kind, status, seconds)
            self.calls += 1
            if self.calls == 2:
                raise ZeroDivisionError

    async with placed(observer=Failing()) as place:
        caller = await place.connect()
        await caller.in_step()
        caller.send(b"{}")
        status, fields, body = await caller.answer()
        assert (status, fields["Connection"]) == (500, "close")
        assert json.loads(body)["type"] == "urn:jmap-proxy:error:internal"
        assert await caller.is_ended()
        await nothing_is_left(place)
        other = await place.connect()
        assert await other.call(b"{}") == b"{}"
    assert place.ways == [ORDINARY, FAST, FAST]


@pytest.mark.parametrize("is_known", [False, True], ids=["new head", "known head"])
async def test_what_cannot_be_decided_is_answered_in_the_ordinary_way(*, is_known: bool) -> None:
    """An error that nobody has foreseen is told and counted as ever, and the client's connection goes on."""
    broken, counted = list[bool](), list[int]()

    def account_of(key: str) -> str | None:
        if broken:
            raise ZeroDivisionError
        return {KEY: "alice"}.get(key)

    class Counting(Unobserved):
        def answered(self, kind: str, status: int, seconds: float) -> None:
            super().answered(kind, status, seconds)
            counted.append(status)

    async with placed(observer=Counting()) as place:
        place.door = Door(account_of)
        place.serve(place.lane())
        caller = await place.connect()
        await caller.in_step()
        if is_known:
            assert await caller.call(b"{}") == b"{}"
        counted.clear()
        broken.append(True)
        caller.send(b"{}")
        status, fields, _ = await caller.answer()
        assert (status, fields["Content-Type"]) == (500, "application/problem+json")
        assert counted == [500]
        broken.clear()
        assert await caller.call(b"{}") == b"{}"


async def test_another_lane_is_learned(place: Place, caller: Caller) -> None:
    """What was found out by the one before does not count any more."""
    later: list[str] = []
    place.ways, before = later, place.ways
    place.serve(place.lane())
    assert await caller.call(b"{}") == b"{}"
    assert (before, later) == ([], [FAST])


async def test_without_a_lane_all_goes_the_ordinary_way(place: Place, caller: Caller) -> None:
    """For a connection that has seen that, for ever: where its messages begin was not looked at."""
    lane = place.lane()
    place.serve(None)
    assert await caller.call(b"{}") == b"{}"
    place.serve(lane)
    assert await caller.call(b"{}") == b"{}"
    assert place.ways == [ORDINARY, ORDINARY]
    other = await place.connect()
    assert await other.call(b"{}") == b"{}"
    assert place.ways[2:] == [FAST]


async def test_a_call_that_is_on_its_way_does_not_need_the_lane_any_more(place: Place, caller: Caller) -> None:
    """It is answered in either way."""
    for body, ways in ((WAIT, [FAST]), (HALVES, [FAST, CARRIED_ON])):
        caller = await place.connect()
        place.serve(place.lane())
        place.ways.clear()
        place.server.go.clear()
        place.server.entered.clear()
        caller.send(body)
        await place.server.entered.wait()
        place.serve(None)
        place.server.go.set()
        assert await caller.body() == body
        assert place.ways == ways


def fresh_parser() -> Any:
    """A parser as connections have one."""
    return web.Server(_unused)()._parser


@pytest.fixture
async def parser() -> Any:
    """Return such a one."""
    return fresh_parser()


async def _unused(_request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\n\n",
    ],
)
async def test_a_head_ends_by_the_first_empty_line_alone(parser: Any, head: bytes) -> None:
    """Lines end by CRLF: with a bare LF or CR the head is refused, or not at its end yet."""
    try:
        messages, _, _ = parser.feed_data(head)
    except HttpProcessingError:
        return
    assert not messages


@pytest.mark.parametrize("before", [b"\r\n", b"\n", b"\r", b"\r\n\r\n"])
async def test_only_cr_and_lf_may_come_in_front_of_a_request(parser: Any, before: bytes) -> None:
    """By its first byte it is told whether a message begins where the bytes begin."""
    messages, _, _ = parser.feed_data(before + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert [message.method for message, _ in messages] == ["POST"]


async def test_nothing_else_is_passed_over() -> None:
    """A byte that cannot begin a method is the end."""
    for byte in set(range(256)) - set(b"\r\nABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        with pytest.raises(HttpProcessingError):
            fresh_parser().feed_data(bytes([byte]) + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")


async def test_what_the_parser_gives(parser: Any) -> None:
    """The head as it is read by who asks how long its body is."""
    message, body = parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")[0][0]
    assert isinstance(message, RawRequestMessage)
    assert (message.should_close, message.upgrade, message.chunked) == (False, False, False)
    assert message.headers.getall("Content-Length") == ["3"]
    assert body.is_eof()
    chunked, _ = parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")[0][0]
    assert chunked.chunked
    last, _ = parser.feed_data(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0][0]
    assert last.should_close

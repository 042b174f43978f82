"""Clients that send calls behind one that is on its way, leave, take long, or are many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from jmap_proxy.proxy.listener.connections import KEEP_ALIVE
from jmap_proxy.proxy.listener.connections import LARGE as MOST_BEHIND
from tests.proxy.listener.ways import (
    FAIL,
    HALVES,
    LARGE,
    ORDINARY,
    WAIT,
    Caller,
    Place,
    nothing_is_left,
    placed,
    until,
)
from tests.proxy.noting_lane import CARRIED_ON, FAST
from tests.support.clock import Clock

if TYPE_CHECKING:
    from jmap_proxy.proxy.listener.fast_connection import FastConnection

ONE_READ = 256 << 10
"""Bytes that asyncio and uvloop read at a time, at most."""

PATIENCE = 100.0


async def test_calls_in_one_piece_are_answered_in_order(place: Place, caller: Caller) -> None:
    """By the ordinary way, on which the connection stays."""
    caller.send(b"one", b"two", b"three")
    assert [await caller.body() for _ in range(3)] == [b"one", b"two", b"three"]
    assert await caller.call(b"four") == b"four"
    assert place.ways == [ORDINARY] * 4


async def test_a_call_behind_one_that_is_on_its_way(place: Place, caller: Caller) -> None:
    """It waits for its turn, and goes fast."""
    caller.send(WAIT)
    await place.server.entered.wait()
    caller.send(b"behind")
    await until(lambda: place.connection()._behind)
    assert len(place.server.calls) == 2
    place.server.go.set()
    assert [await caller.body() for _ in range(2)] == [WAIT, b"behind"]
    assert place.ways == [FAST, FAST]


async def test_a_call_behind_one_that_is_carried_on(place: Place, caller: Caller) -> None:
    """It waits as well, whether it came before or after it was clear that the first one needs a task."""
    caller.send(HALVES)
    await until(lambda: place.connection()._crossing)
    caller.send(b"at once")
    await until(lambda: CARRIED_ON in place.ways)
    caller.send(b"later")
    place.server.go.set()
    assert [await caller.body() for _ in range(3)] == [HALVES, b"at once", b"later"]


async def test_half_a_head_behind_a_call(place: Place, caller: Caller) -> None:
    """It is completed after the answer."""
    whole = caller.request(b"behind")
    caller.send(WAIT)
    await place.server.entered.wait()
    caller.writer.write(whole[:20])
    await until(lambda: place.connection()._behind)
    place.server.go.set()
    assert await caller.body() == WAIT
    caller.writer.write(whole[20:])
    assert await caller.body() == b"behind"
    assert place.ways == [FAST, ORDINARY]


async def test_much_of_a_head_may_wait_behind_a_call(place: Place, caller: Caller) -> None:
    """Reading has paused by then; it goes on, and the head comes to its end."""
    whole = caller.request(b"behind", *(f"Cookie: {'x' * 700}" for _ in range(100)))
    connection = place.connection()
    assert connection.transport is not None
    caller.send(WAIT)
    await place.server.entered.wait()
    caller.writer.write(whole[: MOST_BEHIND + 1000])
    await until(lambda: not connection.transport.is_reading())
    place.server.go.set()
    assert await caller.body() == WAIT
    caller.writer.write(whole[MOST_BEHIND + 1000 :])
    assert await caller.body() == b"behind"


async def test_no_body_is_kept_by_a_connection_that_rests(place: Place, caller: Caller) -> None:
    """Neither what a client has sent nor what the server has answered, also where it had to be parsed to be learned."""
    other = caller.request(b"{}" * 400, "X-New: 1")
    caller.writer.write(other)
    assert await caller.body() == b"{}" * 400
    assert place.ways == [FAST]
    connection = place.connection()
    assert (connection._latest_body, connection._call) == (None, b"")
    connector = place.proxy.http.connector
    assert connector is not None
    ((protocol, _),) = (each for resting in connector._conns.values() for each in resting)
    assert protocol._payload is None
    assert len(protocol) == 0


async def test_reading_stays_paused_while_aiohttp_has_too_many_requests(place: Place, caller: Caller) -> None:
    """What has waited behind a call must not undo aiohttp's own limit, or a client could fill the memory."""
    many = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000
    connection = place.connection()
    assert connection.transport is not None
    caller.send(WAIT + FAIL)
    await place.server.entered.wait()
    connection.data_received(caller.request(WAIT) + many)  # as its transport does, so that these are two reads
    connection.data_received(many * 4)
    assert not connection.transport.is_reading()
    place.server.entered.clear()
    place.server.go.set()
    assert (await caller.answer())[0] == 500
    place.server.go.clear()
    await place.server.entered.wait()  # the next call waits, and all others behind it
    assert not connection._behind
    assert connection._buffer_paused
    assert not connection.transport.is_reading()
    place.server.go.set()
    assert await caller.body() == WAIT


async def test_reading_goes_on_after_much_has_waited(place: Place, caller: Caller) -> None:
    """Also where nothing of what has waited lets aiohttp's own server pause and go on."""
    upload = bytes(MOST_BEHIND // 20)
    uploads = caller.request(upload, path=place.path("uploadUrl")) * 20
    connection = place.connection()
    for body in (WAIT, WAIT + FAIL):  # on a connection each: what is pipelined puts it out of step
        place.server.go.clear()
        place.server.entered.clear()
        caller.send(body)
        await place.server.entered.wait()
        caller.writer.write(uploads)
        await until(lambda connection=connection: connection._held == len(uploads))
        place.server.go.set()
        assert (await caller.answer())[2] == body
        assert [await caller.body() for _ in range(20)] == [upload] * 20
        assert await caller.call(b"{}") == b"{}"
        caller = await place.connect()
        connection = next(each for each in place.connections() if each is not connection)
        await caller.in_step()


@pytest.mark.parametrize(("first", "status"), [(WAIT, 200), (WAIT + FAIL, 500)], ids=["fast", "carried-on"])
@pytest.mark.parametrize("uses_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_many_calls_behind_one_do_not_fill_the_memory(first: bytes, status: int, *, uses_uvloop: bool) -> None:
    """Reading pauses; all are answered in order in the end."""
    bodies = [b"%d " % number + bytes(900) for number in range(600)]

    async def main() -> None:
        async with placed() as place:
            caller = await place.connect()
            await caller.in_step()
            caller.send(first)
            await place.server.entered.wait()
            caller.send(*bodies)
            connection = place.connection()
            assert connection.transport is not None
            await until(lambda: not connection.transport.is_reading())
            assert MOST_BEHIND < connection._held <= MOST_BEHIND + ONE_READ
            place.server.go.set()
            assert (await caller.answer())[0] == status
            assert [await caller.body() for _ in bodies] == bodies

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uses_uvloop else None) as runner:
        runner.run(main())


@pytest.mark.parametrize(("body", "ways"), [(WAIT, [FAST]), (HALVES, [FAST, CARRIED_ON])], ids=["fast", "carried-on"])
async def test_a_client_that_leaves_ends_its_call(place: Place, caller: Caller, body: bytes, ways: list[str]) -> None:
    """The connection to the server ends too, as its answer would come on it; other clients' calls do not."""
    caller.send(body)
    await place.server.entered.wait()
    await until(lambda: place.ways == ways)
    caller.writer.close()
    await place.server.left.wait()
    await nothing_is_left(place)
    other = await place.connect()
    assert await other.call(b"{}") == b"{}"
    assert place.server.connections == 2


async def test_a_client_that_leaves_with_calls_behind(place: Place, caller: Caller) -> None:
    """They are never sent."""
    caller.send(WAIT)
    await place.server.entered.wait()
    caller.send(b"never")
    await until(lambda: place.connection()._behind)
    caller.writer.close()
    await place.server.left.wait()
    await nothing_is_left(place)
    assert place.server.calls == [b"first", WAIT]


async def test_a_reset_ends_its_call_as_well(place: Place, caller: Caller) -> None:
    """However a client leaves."""
    caller.send(WAIT)
    await place.server.entered.wait()
    caller.writer.transport.abort()
    await place.server.left.wait()
    await nothing_is_left(place)


async def test_many_clients_at_the_same_time_get_their_own_answers(place: Place) -> None:
    """Whichever way each call goes, and however they share the connections to the server."""

    async def use(number: int) -> None:
        caller = await place.connect()
        for turn in range(10):
            body = b"%d of %d" % (turn, number)
            kind = (HALVES, b"plain ", b"plain ")[(turn + number) % 3]
            assert await caller.call(kind + body) == kind + body

    place.server.go.set()
    await asyncio.gather(*map(use, range(30)))
    assert set(place.ways) == {ORDINARY, FAST, CARRIED_ON}
    assert len(place.server.calls) == 300
    await nothing_is_left(place)


async def test_of_many_that_leave_none_costs_another_one_its_answer(place: Place) -> None:
    """Half of the clients leave while all calls are on their way."""
    callers = [await place.connect() for _ in range(20)]
    for caller in callers:
        caller.send(b"plain")
    for caller in callers:
        await caller.body()
    for number, caller in enumerate(callers):
        caller.send(WAIT + b" %d" % number)
    await until(lambda: len(place.server.calls) == 40)
    for caller in callers[::2]:
        caller.writer.close()
    await place.server.left.wait()
    place.server.go.set()
    for number, caller in list(enumerate(callers))[1::2]:
        assert await caller.body() == WAIT + b" %d" % number
    await nothing_is_left(place)


def _time_is_up(connection: FastConnection) -> None:
    """Let the keepalive timer go off as if the time had passed."""
    connection._next_keepalive_close_time = 0
    handle = connection._keepalive_handle
    assert isinstance(handle, asyncio.TimerHandle)
    handle.cancel()
    connection._process_keepalive()


async def test_a_call_on_its_way_keeps_its_connection(place: Place, caller: Caller) -> None:
    """However long the server takes; the timer goes on, and ends the connection once it has rested."""
    caller.send(WAIT)
    await place.server.entered.wait()
    connection = place.connection()
    for _ in range(2):
        _time_is_up(connection)
        assert connection._keepalive_handle is not None
    place.server.go.set()
    assert await caller.body() == WAIT
    assert await caller.call(b"{}") == b"{}"
    _time_is_up(connection)
    assert await caller.is_ended()
    assert place.ways == [FAST, FAST]


async def test_a_connection_rests_from_its_last_answer(place: Place, caller: Caller) -> None:
    """Also where that came fast: a timer that goes off before waits for what is left."""
    connection = place.connection()
    connection._next_keepalive_close_time = 0
    assert await caller.call(b"{}") == b"{}"
    left = connection._next_keepalive_close_time - asyncio.get_running_loop().time()
    assert 0 < left <= KEEP_ALIVE
    connection._process_keepalive()
    assert connection.transport is not None


async def test_a_call_on_its_way_keeps_its_place() -> None:
    """A new client is refused rather; once the call is answered, its connection makes room."""
    async with placed(connections=1) as place:
        caller = await place.connect()
        await caller.in_step()
        await caller.call(b"{}")  # by now its head is known
        caller.send(WAIT)
        await place.server.entered.wait()
        other = await place.connect()
        assert (await other.answer())[0] == 503
        place.server.go.set()
        assert await caller.body() == WAIT
        other = await place.connect()
        assert await other.call(b"{}") == b"{}"
        assert await caller.is_ended()
    assert place.ways == [ORDINARY, FAST, FAST, FAST]


async def test_the_time_for_heads_does_not_run_while_a_call_is_on_its_way() -> None:
    """Neither for a client's first call nor for later ones; for half a head behind them it runs from the answer."""
    clock = Clock(0)
    async with placed(head=PATIENCE, clock=clock) as place:
        admission = place.proxy.listener.admission
        await (await place.connect()).in_step()
        callers = [await place.connect() for _ in range(2)]
        for caller in callers:
            caller.send(WAIT)
        await until(lambda: len(place.server.calls) == 3)
        callers[1].writer.write(caller.request(b"behind")[:20])
        clock.now += PATIENCE
        assert admission.end_late() == 0
        place.server.go.set()
        assert [await caller.body() for caller in callers] == [WAIT, WAIT]
        clock.now += PATIENCE - 1
        assert admission.end_late() == 0
        clock.now += 1
        assert admission.end_late() == 1
        assert (await callers[1].answer())[0] == 408
        assert await callers[0].call(b"{}") == b"{}"


async def _fill(place: Place, caller: Caller) -> int:
    """Call, and read nothing, until no more can be written to the client; how many calls that took."""
    connection, before = place.connection(), len(place.server.calls)
    while not connection.writing_paused:
        caller.send(b"%d" % (len(place.server.calls) - before))
        await until(lambda: connection._crossing is not None or not connection.is_free())
        await until(lambda: connection._crossing is None and (connection.is_free() or connection.writing_paused))
    return len(place.server.calls) - before


async def test_a_client_that_does_not_read_its_answers_goes_the_ordinary_way() -> None:
    """Which waits for it; all that it was owed comes once it reads, and its calls go fast again."""
    async with placed(LARGE) as place:
        caller = await place.connect()
        await caller.in_step()
        place.server.padding = 50_000
        sent = await _fill(place, caller)
        place.ways.clear()
        caller.send(b"unread")
        await until(lambda: place.ways)
        assert place.ways == [ORDINARY]
        assert [(await caller.body()).rstrip(b"\0") for _ in range(sent)] == [b"%d" % n for n in range(sent)]
        assert (await caller.body()).rstrip(b"\0") == b"unread"
        place.server.padding = 0
        place.ways.clear()
        assert await caller.call(b"{}") == b"{}"
        assert place.ways[0] == FAST

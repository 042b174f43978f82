from __future__ import annotations

import pytest
from aiohttp import ClientError
from structlog.testing import capture_logs

from jmap_proxy.errors import JmapProxyError
from jmap_proxy.proxy.fast.known_answer import KnownAnswer
from tests.proxy.fast.support import BODY, DATE, World, answer, call, world
from tests.proxy.support import SESSION

LATER = "Mon, 30 Nov 2026 00:00:00 GMT"


def shown(body: bytes, date: str = DATE) -> tuple[bytes, bytes]:
    """What an answer for the client begins with and ends with."""
    return f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\n".encode(), b"\r\n\r\n" + body


async def test_a_plain_answer_is_learned_and_goes_to_the_client() -> None:
    """One whole one of which nothing was known; the next ones like it are known, with dates and bodies of their own."""
    async with world() as here:
        route = here.known_route()
        here.server.answers[:] = [[answer()], [answer(b"second one", date=LATER)], [answer(b"")]]
        here.must_begin(route)
        assert await here.client.heard() == "answer"
        learned = route.answer
        assert learned is not None
        for _ in range(2):
            here.must_begin(route)
            assert await here.client.heard() == "answer"
        assert route.answer is learned
        assert here.client.told == ["answer"] * 3
        for data, (begin, end) in zip(
            here.client.answered, [shown(b"first"), shown(b"second one", LATER), shown(b"")], strict=True
        ):
            assert data.startswith(begin)
            assert data.endswith(end)
        assert here.observer.noted == [("api", 200)] * 3
        assert here.uses() == 0
        assert len(await here.sent()) == 3


async def test_another_plain_answer_takes_the_place_of_the_one_that_was_known() -> None:
    """By routes, not by servers."""
    async with world() as here:
        route = here.known_route()
        here.server.answers[:] = [[answer()], [answer(b"x", "X-A: 1")], [answer(b"y", "X-A: 1")], [answer()]]
        learned = []
        for _ in range(4):
            here.must_begin(route)
            assert await here.client.heard() == "answer"
            learned.append(route.answer)
        assert learned[1] is learned[2]
        assert len(set(learned)) == 3
        assert [b"X-A: 1" in data for data in here.client.answered] == [False, True, True, False]
        assert here.uses() == 0


async def test_the_connection_rests_after_an_answer() -> None:
    """And is used by the next request: there is one for all of them."""
    async with world() as here:
        route = here.known_route()
        for _ in range(5):
            here.must_begin(route)
            assert await here.client.heard() == "answer"
            assert len(here.http.connector._conns) == 1  # type: ignore[union-attr]
            assert not here.http.connector._acquired  # type: ignore[union-attr]
        crossing = here.must_begin(route)
        assert await here.client.heard() == "answer"
        crossing.close()
        assert len(here.http.connector._conns) == 1  # type: ignore[union-attr]


WHOLE = answer()
OTHERS: dict[str, list[bytes | None]] = {
    "another status": [answer(status="201 Created")],
    "a refused token": [answer(status="401 Unauthorized")],
    "an error": [answer(status="500 No")],
    "a redirect": [answer(b"first", "Location: /x", status="302 Found")],
    "a 200 with Location": [answer(b"first", "Location: /x")],
    "HTTP/1.0": [WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")],
    "the last one": [answer(b"first", "Connection: close")],
    "chunked": [
        WHOLE.replace(b"Content-Length: 5\r\n\r\nfirst", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    ],
    "no length": [WHOLE.replace(b"Content-Length: 5\r\n", b""), None],
    "no date": [WHOLE.replace(b"Date", b"X-Date")],
    "no type": [WHOLE.replace(b"Content-Type", b"X-Type")],
    "two dates": [answer(b"first", f"Date: {DATE}")],
    "a date of another form": [WHOLE.replace(b" GMT", b" UTC")],
    "a tab before the length": [WHOLE.replace(b": 5", b":\t5")],
    "a tab before the date": [WHOLE.replace(b"Date: ", b"Date:\t")],
    "an empty date": [WHOLE.replace(DATE.encode(), b"")],
    "a date that is dropped": [answer(b"first", "Connection: date")],
    "a field that is not ASCII": [answer(b"first", "X-A: ü")],
    "a bare LF": [WHOLE.replace(b"\r\nContent-Type", b"\nContent-Type")],
    "a folded line": [WHOLE.replace(b"json", b"json\r\n x")],
    "an interim answer": [b"HTTP/1.1 100 Continue\r\n\r\n"],
    "an interim answer before it": [b"HTTP/1.1 103 Early Hints\r\n\r\n" + WHOLE],
    "two answers": [WHOLE * 2],
    "more than one answer": [WHOLE + b"HTTP/1.1 200"],
    "nonsense behind it": [WHOLE + b"\0"],
    "half a head": [WHOLE[:20]],
    "half a body": [WHOLE[:-1]],
    "a head alone": [WHOLE[:-5]],
    "one byte": [b"H"],
    "nonsense": [b"\0\1\2"],
    "a control character": [answer(b"first", "X-A: \x0b")],
    "a large answer": [WHOLE.replace(b": 5", b": 1000000")],
    "nothing": [None],
    # what the parser takes for the head ends before the first CRLF CRLF, so that the body is another one
    "an empty line with another end": [
        f"HTTP/1.1 200 OK\r\nDate: {DATE}\r\nContent-Length: 8\r\nContent-Type: a\n\nAB\r\n\r\nCDHTTP/1".encode()
    ],
}


@pytest.mark.parametrize("pieces", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("is_known", [False, True], ids=["first", "later"])
async def test_any_other_answer_goes_on_in_the_ordinary_way(pieces: list[bytes | None], is_known: bool) -> None:
    """Also on a route of which plain answers are known; the client has got nothing of it."""
    async with world() as here:
        route = here.known_route()
        if is_known:
            here.must_begin(route)
            assert await here.client.heard() == "answer"
        known = route.answer
        here.client.told.clear()
        here.server.answers[:] = [pieces]
        crossing = here.must_begin(route)
        assert await here.client.heard() == "carry on"
        assert here.client.told == ["carry on"]
        assert route.answer is known
        assert len(here.client.answered) == len(here.observer.noted) == is_known
        assert here.uses() == 1
        crossing.close()
        assert here.uses() == 0


async def carried(here: World, crossing: object) -> None:
    """See that a crossing has gone on in the ordinary way, once."""
    assert await here.client.heard() == "carry on"
    assert await crossing.carry_on(call(here.path)) is not None  # type: ignore[attr-defined]
    assert here.carried_on == [crossing]


async def test_who_carries_on_gets_what_has_come_and_what_comes() -> None:
    """Nothing of the answer is lost to the ordinary way."""
    async with world() as here:
        whole = answer(b"first and last")
        here.server.answers[:] = [[whole[:30], whole[30:-4], whole[-4:]]]
        crossing = here.must_begin(here.known_route())
        await carried(here, crossing)
        here.server.go_on.set()
        told = await crossing.begun.sent.answer()
        assert (told.status, await told.content.read()) == (200, b"first and last")
        crossing.close()
        assert here.uses() == 0
        assert len(await here.sent()) == 1


async def test_who_carries_on_hears_that_nothing_comes() -> None:
    """As of any request that gets no answer."""
    async with world() as here:
        here.server.answers[:] = [[None]]
        crossing = here.must_begin(here.known_route())
        await carried(here, crossing)
        with pytest.raises(ClientError):
            await crossing.begun.sent.answer()
        crossing.close()
        assert here.uses() == 0


@pytest.mark.parametrize("is_known", [False, True], ids=["first", "later"])
async def test_a_client_that_cannot_be_answered_here_is_answered_in_the_ordinary_way(is_known: bool) -> None:
    """It says so only when the answer comes; the whole answer is there then."""
    async with world() as here:
        route = here.known_route()
        if is_known:
            here.must_begin(route)
            assert await here.client.heard() == "answer"
        here.client.may_answer = False
        crossing = here.must_begin(route)
        await carried(here, crossing)
        told = await crossing.begun.sent.answer()
        assert (told.status, await told.content.read()) == (200, b"first")
        crossing.close()
        assert here.uses() == 0
        assert len(here.client.answered) == is_known


@pytest.mark.parametrize("is_known", [False, True], ids=["first", "later"])
async def test_an_unforeseen_error_ends_the_connection(is_known: bool) -> None:
    """It is logged; the client is told and does not wait for ever, and nothing stays in use."""
    async with world() as here:
        route = here.known_route()
        if is_known:
            here.must_begin(route)
            assert await here.client.heard() == "answer"
        here.observer.error = RuntimeError("broken")
        with capture_logs() as logs:
            crossing = here.must_begin(route)
            assert await here.client.heard() == "fail"
        assert [(entry["event"], entry["log_level"]) for entry in logs] == [("unforeseen error", "error")]
        assert here.client.answered[is_known].startswith(b"HTTP/1.1 500 ")
        assert b"Connection: close" in here.client.answered[is_known]
        crossing.close()  # as who ends does
        assert here.uses() == 0
        here.observer.error = None
        here.must_begin(route)
        assert await here.client.heard() == "answer"
        assert here.uses() == 0


async def test_each_unforeseen_error_is_counted_and_has_an_id_of_its_own() -> None:
    """Its client is told the id by which the log knows it; it is not the one of who opened the connection."""

    class Broken(KnownAnswer):
        def for_client(self, data: bytes) -> bytes | None:
            raise ZeroDivisionError(len(data))

    async with world() as here:
        for _ in range(2):
            route = here.known_route()
            here.must_begin(route)
            assert await here.client.heard() == "answer"
            route.answer = Broken.__new__(Broken)
            crossing = here.must_begin(route)
            assert await here.client.heard() == "fail"
            crossing.close()
            assert here.observer.failures[-1] in here.client.answered[-1].decode()
            await here.sent()  # by a new connection, which then rests
        assert here.observer.noted == [("api", 200), ("api", 500)] * 2
        assert len(set(here.observer.failures)) == 2


async def test_an_error_of_ours_is_unforeseen_here_too() -> None:
    """Nothing but an answer can come of a call that has been sent on."""
    async with world() as here:
        here.observer.error = JmapProxyError("broken")
        with capture_logs() as logs:
            here.must_begin(here.known_route())
            assert await here.client.heard() == "fail"
        assert [entry["event"] for entry in logs] == ["unforeseen error"]
        assert here.uses() == 0


async def test_a_call_that_is_closed_ends_once() -> None:
    """However often that is said; others that use the plane do not end by it. Its connection is not used again."""
    async with world() as here:
        route = here.known_route()
        here.server.answers[:] = [[b"", answer(b"late")], [answer(b"next")]]
        here.plane.uses.begin()
        crossing = here.must_begin(route)
        assert here.uses() == 2
        for _ in range(3):
            crossing.close()
            assert here.uses() == 1
        assert crossing.begun.sent.connection is None
        assert here.begin(route) is None
        here.server.go_on.set()
        await here.sent()  # opens a connection
        here.must_begin(route)
        assert await here.client.heard() == "answer"
        assert here.client.answered[0].endswith((b"next", b"late"))
        assert here.client.told == ["answer"]
        here.plane.uses.end()
        await here.plane.uses.over()


async def test_a_call_that_was_answered_does_not_end_once_more() -> None:
    """By a `close` behind it, nor does its connection, which may be another call's by then."""
    async with world() as here:
        route = here.known_route()
        here.plane.uses.begin()
        first = here.must_begin(route)
        assert await here.client.heard() == "answer"
        assert here.uses() == 1
        here.server.answers[:] = [[b"", answer(b"second")]]
        here.must_begin(route)
        first.close()
        assert here.uses() == 2
        here.server.go_on.set()
        assert await here.client.heard() == "answer"
        assert here.client.answered[1].endswith(b"second")
        assert here.uses() == 1


async def test_what_a_session_says_does_not_reach_clients_by_calls() -> None:
    """An answer is the one to its own request: the Session came by the same connection."""
    async with world() as here:
        here.must_begin(here.known_route(), BODY)
        assert await here.client.heard() == "answer"
        assert SESSION["state"].encode() not in here.client.answered[0].partition(b"\r\n\r\n")[2]  # type: ignore[attr-defined]

"""The fast way of API calls and the ordinary one: neither client nor server can tell them apart, but by the time."""

from __future__ import annotations

import asyncio
import base64
import gzip
import itertools
import logging
import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmap_proxy.errors import SignInNeeded
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.forwarding import Plane
from jmap_proxy.proxy.upstream.exchange import Exchange
from tests.proxy.fast.ways import (
    CLOSES,
    DATE,
    GOOD,
    LATER,
    RESETS,
    TIME_LIMIT,
    TYPE,
    WELL_KNOWN,
    Client,
    Reply,
    World,
    answer,
    nothing_left,
    see_both,
    settle,
)
from tests.proxy.noting_lane import NotingLane
from tests.proxy.support import AUTH, KEY, SESSION, Tokens, proxy_to, raw_server, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy.fast.ways import Step

WARM = 3
"""Calls until nothing is new about a further one: neither its head nor that of its answer."""


def exchanges(*replies: Reply, calls: int = 1, same_heads: bool = True) -> Step:
    """So many calls that get these replies, and one that gets a good one; the first goes the fast way if there is."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        world.server.replies = list(replies)
        begun = world.begun
        for number in range(calls):
            own = "" if same_heads else f"\r\nX-Call: {number}"
            await world.client.ask(world.call(b"[%d]" % (10**number), fields=world.fields + own))
            assert world.lane is None or world.begun > begun
        await world.client.ask(world.call(b"after"))

    return steps


def plain(fields: bytes, *, body: bytes = b'{"a":1}', line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """An answer with these fields besides."""
    return answer(body, fields + TYPE + DATE, line)


WHOLE = {
    "nothing special": answer(),
    "another date": answer(b"other", TYPE + LATER),
    "an empty body": answer(b""),
    "60 kB": answer(b"x" * 60_000),
    "80 kB": answer(b"x" * 80_000),
    "gzip": plain(b"Content-Encoding: gzip\r\n", body=gzip.compress(b"a" * 999, mtime=0)),
    "a line end as body": answer(b"\r\n\r\n"),
    "an answer as body": answer(answer()),
    "cookies": plain(b"Set-Cookie: a=1\r\nSet-Cookie2: b=1\r\n"),
    "fields of CORS": plain(b"Access-Control-Allow-Origin: *\r\naccess-control-max-age: 9\r\n"),
    "fields that are named by Connection": plain(b"Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n"),
    "Connection names fields that frame": plain(b"Connection: content-length, date, content-type\r\n"),
    "Connection: keep-alive": plain(b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
    "HSTS": plain(b"Strict-Transport-Security: max-age=99\r\nAlt-Svc: h2\r\n"),
    "a challenge": plain(b"WWW-Authenticate: Basic\r\nProxy-Authenticate: Basic\r\n"),
    "fields that keep browsers safe": plain(b"Content-Security-Policy: none\r\nX-Content-Type-Options: x\r\n"),
    "odd case": answer(b"ok", b"content-TYPE: text/plain\r\ndATE: Sun, 01 Dec 2019 10:00:00 GMT\r\nx-OdD: 1\r\n"),
    "a length in odd case": b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"cONTENT-length: 2\r\n\r\nok",
    "a length first": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + DATE + TYPE + b"\r\nok",
    "duplicate fields": plain(b"X: 1\r\nVary: A\r\nX: 2\r\nVary: B\r\n"),
    "an empty field": plain(b"X-Empty:\r\nX-Blank:  \r\n"),
    "spaces around": plain(b"X:   a \t\r\n"),
    "no space": plain(b"X:a\r\nY:b\r\n"),
    "a tab": plain(b"X: a\tb\r\n"),
    "a field of the form of another": plain(b"X: Content-Length: 9\r\n"),
    "a NUL as text": plain(b"X: \\0 %00\r\n"),
    "no Date": answer(b"ok", TYPE),
    "no Content-Type": answer(b"ok", DATE),
    "no fields": answer(b"ok", b""),
    "Server": plain(b"Server: Cyrus/3\r\n"),
    "an empty Server": plain(b"Server:\r\n"),
    "two Servers": plain(b"Server: a\r\nServer: b\r\n"),
    "two Dates": plain(LATER),
    "two Content-Types": plain(b"Content-Type: text/plain\r\n"),
    "an odd Date": answer(b"ok", TYPE + b"Date: Sunday, 01-Dec-19 10:00:00 GMT of 2019 10:00:00 GMT\r\n"),
    "UTF-8": plain("X: é€\r\n".encode()),
    "ISO 8859-1": plain(b"X: caf\xe9\r\n"),
    "ISO 8859-1 in the reason": plain(b"", line=b"HTTP/1.1 200 caf\xe9"),
    "no reason": plain(b"", line=b"HTTP/1.1 200"),
    "an empty reason": plain(b"", line=b"HTTP/1.1 200 "),
    "another reason": plain(b"", line=b"HTTP/1.1 200 All is well"),
    "an underscore": plain(b"X_Y: 1\r\n"),
    "a leading zero": b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"Content-Length: 002\r\n\r\nok",
    "space behind the length": b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"Content-Length: 2 \r\n\r\nok",
    "Location": plain(b"Location: /api/\r\n"),
    "Location elsewhere": plain(b"Location: https://evil.example/\r\n"),
    "Upgrade": plain(b"Upgrade: h2c\r\n"),
    "Upgrade that is named": plain(b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    "Trailer": plain(b"Trailer: X\r\n"),
    "a folded line": plain(b"X: a\r\n b\r\n"),
    "bare line feeds": answer().replace(b"\r\n", b"\n"),
    "201": plain(b"", line=b"HTTP/1.1 201 Created"),
    "203": plain(b"", line=b"HTTP/1.1 203 x"),
    "204": b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n",
    "204 with a length": b"HTTP/1.1 204 No Content\r\n" + DATE + b"Content-Length: 0\r\n\r\n",
    "205": answer(b"", line=b"HTTP/1.1 205 Reset Content"),
    "206": plain(b"Content-Range: bytes 0-6/9\r\n", line=b"HTTP/1.1 206 Partial Content"),
    "304": b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"Content-Length: 5\r\n\r\n",
    **{str(status): plain(b"", line=b"HTTP/1.1 %d No" % status) for status in (400, 403, 404, 413, 429, 500, 503, 599)},
    "a busy server": plain(b"Retry-After: 7\r\n", line=b"HTTP/1.1 503 Busy"),
    "a redirect inside": plain(b"Location: /api/x\r\n", line=b"HTTP/1.1 307 There"),
    "a redirect to the endpoint": plain(b"Location: /api/\r\n", line=b"HTTP/1.1 308 There"),
    "a redirect outside": plain(b"Location: https://evil.example/api/\r\n", line=b"HTTP/1.1 302 There"),
    "a redirect to nowhere": plain(b"", line=b"HTTP/1.1 302 There"),
    "chunks": b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.0 that stays": plain(b"Connection: keep-alive\r\n", line=b"HTTP/1.0 200 OK"),
    "100 before it": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
    "103 before it": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(),
    "empty lines before it": b"\r\n\r\n" + answer(),
}
"""Answers of which the connection to the server is kept, or could be."""


@pytest.mark.parametrize("same_heads", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_that_comes_at_once(name: str, *, same_heads: bool) -> None:
    """It comes to the client the same, the first time as well as when such a head is known."""
    reply = Reply((WHOLE[name],))
    await see_both(exchanges(reply, reply, calls=2, same_heads=same_heads))


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_that_comes_in_pieces(name: str) -> None:
    """Its head by itself, or cut in the middle of the head and of the body."""
    whole = WHOLE[name]
    head = whole.index(b"\r\n\r\n") + 4 if b"\r\n\r\n" in whole else len(whole) // 2
    in_three = whole[: head // 2], whole[head // 2 : (head + len(whole)) // 2], whole[(head + len(whole)) // 2 :]
    replies = [Reply((whole[:head], whole[head:])), Reply(in_three), Reply((whole[:1], whole[1:])), Reply((whole,))]
    await see_both(exchanges(*replies, calls=4))


LONG = b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"Content-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"Transfer-Encoding: chunked\r\n\r\n"

FAULTY = {
    "a good one before the body is read": Reply((answer(),), early=True),
    "nothing": Reply((b"",), CLOSES),
    "nothing but a reset": Reply((b"",), RESETS),
    "half a status line": Reply((b"HTTP/1.1 2",), CLOSES),
    "half a head": Reply((answer()[:40],), CLOSES),
    "half a head and a reset": Reply((answer()[:40],), RESETS),
    "a head alone": Reply((LONG,), CLOSES),
    "half a body": Reply((LONG + b"half",), CLOSES),
    "half a body, in pieces": Reply((LONG, b"ha", b"lf"), CLOSES),
    "half a body and a reset": Reply((LONG + b"half",), RESETS),
    "half of a large body": Reply((answer(b"x" * 200_000)[:90_000],), CLOSES),
    "half of the chunks": Reply((CHUNKED + b"5\r\nhel",), CLOSES),
    "half of the chunks, in pieces": Reply((CHUNKED, b"5\r\nhello\r\n", b"5\r\nhe"), CLOSES),
    "a broken chunk": Reply((CHUNKED, b"5\r\nhello\r\n", b"xyz\r\n")),
    "chunks in pieces": Reply((CHUNKED + b"2\r\nok\r\n", b"3\r\nyes\r\n", b"0\r\n\r\n")),
    "until the end": Reply((b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"\r\nall of it",), CLOSES),
    "until the end, in pieces": Reply((b"HTTP/1.1 200 OK\r\n" + TYPE + DATE + b"\r\n", b"all", b" of it"), CLOSES),
    "the server's last": Reply((plain(b"Connection: close\r\n"),), CLOSES),
    "the server's last, yet it stays": Reply((plain(b"Connection: close\r\n"),)),
    "the server's last, unsaid": Reply((answer(),), CLOSES),
    "the server's last, with a reset": Reply((answer(),), RESETS),
    "HTTP/1.0": Reply((plain(b"", line=b"HTTP/1.0 200 OK"),), CLOSES),
    "HTTP/1.0 without a length": Reply((b"HTTP/1.0 200 OK\r\n" + TYPE + DATE + b"\r\nall",), CLOSES),
    "HTTP/2.0": Reply((plain(b"", line=b"HTTP/2.0 200 OK"),)),
    "HTTP/1.2": Reply((plain(b"", line=b"HTTP/1.2 200 OK"),)),
    "status 99": Reply((plain(b"", line=b"HTTP/1.1 099 x"),)),
    "status 600": Reply((plain(b"", line=b"HTTP/1.1 600 x"),)),
    "101": Reply((b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nx",)),
    "100 and the end": Reply((b"HTTP/1.1 100 Continue\r\n\r\n",), CLOSES),
    "100 and an answer, in pieces": Reply((b"HTTP/1.1 100 Continue\r\n\r\n", answer())),
    "100 without end": Reply((b"HTTP/1.1 102 Processing\r\n\r\n" * 200,)),
    "garbage": Reply((b"garbage\r\n\r\n",)),
    "another protocol": Reply((b"220 mail.example ESMTP\r\n",)),
    "two lengths": Reply((plain(b"Content-Length: 7\r\n"),)),
    "two different lengths": Reply((plain(b"Content-Length: 9\r\n"),)),
    "a list of lengths": Reply((answer().replace(b"Length: 2", b"Length: 2, 2"),)),
    "a signed length": Reply((answer().replace(b"Length: 2", b"Length: +2"),)),
    "a negative length": Reply((answer().replace(b"Length: 2", b"Length: -2"),)),
    "an empty length": Reply((answer().replace(b"Length: 2", b"Length:"),), CLOSES),
    "a length of 16 digits": Reply((answer().replace(b"Length: 2", b"Length: 0000000000000002"),)),
    "a length of 2^64": Reply((answer().replace(b"Length: 2", b"Length: 18446744073709551616"),)),
    "a length and chunks": Reply((plain(b"Transfer-Encoding: chunked\r\n"),)),
    "gzip as transfer coding": Reply((plain(b"Transfer-Encoding: gzip\r\n"),), CLOSES),
    "identity": Reply((plain(b"Transfer-Encoding: identity\r\n"),), CLOSES),
    "a control character": Reply((plain(b"X: a\x01b\r\n"),)),
    "DEL": Reply((plain(b"X: a\x7fb\r\n"),)),
    "a NUL": Reply((plain(b"X: a\0b\r\n"),)),
    "a bare carriage return": Reply((plain(b"X: a\rSet-Cookie: evil=1\r\n"),)),
    "a control character in the reason": Reply((plain(b"", line=b"HTTP/1.1 200 O\x01K"),)),
    "a control character in the date": Reply((answer(b"ok", TYPE + DATE.replace(b"Sun", b"S\x01n")),)),
    "a space before the colon": Reply((plain(b"X : a\r\n"),)),
    "no colon": Reply((plain(b"X\r\n"),)),
    "100 kB of one field": Reply((plain(b"X: " + b"a" * 100_000 + b"\r\n"),)),
    "10,000 fields": Reply((plain(b"X: a\r\n" * 10_000),)),
    "more than the length": Reply((answer() + b"more",)),
    "a line end more": Reply((answer() + b"\r\n",)),
    "more than the length, in pieces": Reply((answer(), b"more")),
    "a second answer": Reply((answer() + answer(b"poison"),)),
    "a second answer, in pieces": Reply((answer(), answer(b"poison"))),
    "a second answer in pieces": Reply((answer() + answer(b"poison")[:30], answer(b"poison")[30:])),
    "a second answer behind chunks": Reply((CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + answer(b"poison"),)),
    "204 with a body": Reply((answer(line=b"HTTP/1.1 204 No"),)),
    "304 with a body": Reply((answer(line=b"HTTP/1.1 304 No"),)),
    "a large one in pieces": Reply((answer(b"x" * 300_000)[:100_000], answer(b"x" * 300_000)[100_000:])),
}
"""Answers after which the connection to the server is of no use, or that are none."""


@pytest.mark.parametrize("name", FAULTY)
async def test_an_answer_that_is_not_what_it_should_be(name: str) -> None:
    """The client is told the same, as often as it comes, and nobody gets what was not meant for them."""
    seen = await see_both(exchanges(FAULTY[name], GOOD, FAULTY[name], GOOD, FAULTY[name], calls=5))
    assert not any(b"poison" in each for each in seen.by_client)


NO = plain(b"WWW-Authenticate: Bearer\r\n", line=b"HTTP/1.1 401 Unauthorized")


REFUSED = {
    "at once": (NO,),
    "cut in the head": (NO[:60], NO[60:]),
    "cut in the body": (NO[:-3], NO[-3:]),
    "behind 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + NO,),
    "the connection's last": (NO.replace(b"\r\n", b"\r\nConnection: close\r\n", 1),),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_that_is_refused(name: str) -> None:
    """The call is sent once more, whole, with another token."""
    seen = await see_both(exchanges(Reply(REFUSED[name])))
    sent = [data for _, data in seen.by_server if data.endswith(b"[1]")]
    assert [b"Bearer good" in sent[0], b"Bearer better" in sent[1]] == [True, True]
    assert sent[0] == sent[1].replace(b"better", b"good")
    assert seen.asked_of_source == ["replace good"]


async def test_a_server_that_refuses_a_token_and_goes() -> None:
    """Without saying so before."""
    await see_both(exchanges(Reply((NO,), CLOSES)))


async def test_a_token_that_is_refused_twice() -> None:
    """The client gets the error of the source."""
    seen = await see_both(exchanges(Reply((NO,)), Reply((NO,))))
    assert seen.asked_of_source == ["replace good", "refused better"]


class Failing(Tokens):
    """A source that cannot replace a token."""

    async def replace_rejected(self, rejected: str) -> str:
        """Raise what it would raise for a sign-in that has gone."""
        await super().replace_rejected(rejected)
        raise SignInNeeded("alice", "the grant is gone")


async def test_a_token_that_cannot_be_replaced() -> None:
    """The client gets the error of the source."""
    await see_both(exchanges(Reply((NO,))), tokens=lambda: Failing("good", "better", at_once=True))


async def test_a_token_that_is_replaced_late() -> None:
    """The client is told to come again."""

    class Slow(Tokens):
        async def replace_rejected(self, rejected: str) -> str:
            await asyncio.Event().wait()
            return rejected

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        world.server.replies = [Reply((NO,))]
        world.plane.exchange.first_byte = 0.0
        await world.client.ask(world.call())
        world.plane.exchange.first_byte = 4.0
        await world.client.ask(world.call(b"after"))

    seen = await see_both(steps, tokens=lambda: Slow(at_once=True))
    assert any(b"HTTP/1.1 503 " in each for each in seen.by_client)


REQUESTS = {
    "no fields": "",
    "many fields": "Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: x/1",
    "odd case": "ACCEPT: a\r\naccept-ENCODING: gzip",
    "duplicates": "Accept: a\r\nX-A: 1\r\nAccept: b",
    "fields that are not passed on": "Cookie: a=1\r\nForwarded: for=x\r\nX-Forwarded-For: x\r\nReferer: x\r\nVia: x",
    "fields that are named by Connection": "Connection: keep-alive, X-A\r\nX-A: 1\r\nX-B: 2\r\nTE: trailers",
    "an underscore": "X_A: 1",
    "UTF-8": "X: é€",
    "an empty field": "X-Empty:",
    "a field of the form of a length": "X: Content-Length: 99",
    "a tab": "X: a\tb",
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_with_other_fields(name: str) -> None:
    """The server gets the same, and the fast way is taken."""

    async def steps(world: World) -> None:
        world.fields = "\r\n".join(filter(None, [AUTH, REQUESTS[name]]))
        await world.warm_up(2)
        begun = world.begun
        for body in (b"x", b"x" * 999):
            await world.client.ask(world.call(body))
        await world.client.ask(world.call(b"x", length="0001"))
        assert world.lane is None or world.begun == begun + 3
        await world.client.ask(world.call(b""))

    await see_both(steps)


ORDINARY_REQUESTS = {
    "a client that waits to be asked": "Expect: 100-continue",
    "an upgrade": "Upgrade: h2c",
    "an upgrade that is named": "Connection: Upgrade\r\nUpgrade: h2c",
    "the last one": "Connection: close",
}


@pytest.mark.parametrize("name", ORDINARY_REQUESTS)
async def test_a_request_that_goes_the_ordinary_way_behind_others(name: str) -> None:
    """Each time, and what follows it gets its own answer."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        begun = world.begun
        for body in (b"x", b"xx"):
            received = await world.client.ask(world.call(body, fields=f"{AUTH}\r\n{ORDINARY_REQUESTS[name]}"))
            assert b"HTTP/1.1 200 OK\r\n" in received
        assert world.begun == begun
        await world.client.ask(world.call(b"after"))

    await see_both(steps)


async def test_a_key_that_is_good_only_now() -> None:
    """Before, its client came in by the open account."""

    async def steps(world: World) -> None:
        for _ in range(WARM):
            await world.client.ask(world.call())
        world.proxy.planes["bob"] = plane_of("of-bob", world)
        world.keys["later"] = "bob"
        await world.client.ask(world.call())

    seen = await see_both(
        steps, door=lambda keys: Door(keys.get, open_account="alice"), fields="Authorization: Bearer later"
    )
    assert [b"Bearer of-bob\r\n" in data for _, data in seen.by_server] == [False] * WARM + [True]


CALLERS: dict[str, tuple[Callable[[dict[str, str]], Door], str]] = {
    "Basic": (lambda keys: Door(keys.get), f"Authorization: Basic {base64.b64encode(f'me:{KEY}'.encode()).decode()}"),
    "bearer in lower case": (lambda keys: Door(keys.get), f"authorization: bearer {KEY}"),
    "an allowed page": (
        lambda keys: Door(keys.get, web_origins=frozenset({"http://localhost:3000"})),
        f"{AUTH}\r\nOrigin: http://localhost:3000\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors",
    ),
    "an open account": (lambda keys: Door(keys.get, open_account="alice"), ""),
    "an open account of another key": (lambda keys: Door(keys.get, open_account="bob"), AUTH),
    "a port of its own": (lambda keys: Door(keys.get, only="alice"), AUTH),
}


@pytest.mark.parametrize("name", CALLERS)
async def test_who_calls(name: str) -> None:
    """Whatever the client shows: it gets what it would get, and its marks do not go on."""
    door, fields = CALLERS[name]
    redirect = Reply((plain(b"Location: /api/x\r\n", line=b"HTTP/1.1 307 There"),))
    cors = Reply((plain(b"Access-Control-Allow-Origin: *\r\nVary: Accept\r\n"),))
    seen = await see_both(
        exchanges(GOOD, cors, cors, redirect, Reply((b"",), CLOSES), calls=5), door=door, fields=fields
    )
    assert not any(KEY.encode() in data or b"3000" in data for _, data in seen.by_server)


REFUSED_CALLERS = {
    "no key": "",
    "a wrong key": "Authorization: Bearer wrong",
    "two keys": f"{AUTH}\r\n{AUTH}",
    "a key of nobody served": "Authorization: Bearer orphan",
    "a page": f"{AUTH}\r\nOrigin: https://evil.example",
    "a navigation": f"{AUTH}\r\nSec-Fetch-Mode: navigate",
    "two hosts": f"{AUTH}\r\nHost: localhost",
    "ISO 8859-1": f"{AUTH}\r\nX: \udce9",
    "an expectation": f"{AUTH}\r\nExpect: nonsense",
    "a length of its own": f"{AUTH}\r\nContent-Length: 1",
    "a coding": f"{AUTH}\r\nTransfer-Encoding: chunked",
    "a field without colon": f"{AUTH}\r\nX",
    "a control character": f"{AUTH}\r\nX: \x01",
}


@pytest.mark.parametrize("name", REFUSED_CALLERS)
async def test_a_call_that_is_refused_behind_good_ones(name: str) -> None:
    """Nothing of it reaches the server."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        await world.client.ask(world.call(b"refused", fields=REFUSED_CALLERS[name]))
        await world.client.ask(world.call(b"after"))

    seen = await see_both(steps)
    assert not any(b"refused" in data for _, data in seen.by_server)


async def test_calls_that_come_in_other_pieces() -> None:
    """Cut at each byte, glued together, or one behind another that is on its way: each gets its answer, in order."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        call = world.call(b"[12]")
        for at in range(1, len(call), 9):
            await world.client.ask(call[:at], call[at:])
        world.client.leave()
        await world.warm_up(2)
        await world.client.send(call + world.call(b"second") + world.call(b"third"))
        for _ in range(3):
            await world.client.receive()
        world.client.leave()
        await world.warm_up(2)
        world.server.replies = [Reply((answer(),), held=True), Reply((answer(b"two"),))]
        world.server.asked.clear()
        await world.client.send(call)
        await world.server.asked.wait()
        behind = world.call(b"behind") + call
        await world.client.send(behind[:50], behind[50:])
        world.server.release.set()
        for _ in range(3):
            await world.client.receive()
        await world.client.ask(world.call(b"after"))

    await see_both(steps)


async def test_calls_of_the_largest_sizes() -> None:
    """As large as one read takes, and larger ones; also what is larger than the Session allows."""

    async def steps(world: World) -> None:
        world.server.session = SESSION | {"capabilities": {"urn:ietf:params:jmap:core": {"maxSizeRequest": 100_000}}}
        await world.client.ask(f"GET {WELL_KNOWN} HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\n\r\n".encode())
        await world.warm_up(WARM)
        for size in (65_000, 65_535, 65_536, 65_537, 100_000, 100_001, 1):
            await world.client.ask(world.call(b"x" * size))

    await see_both(steps)


async def test_what_the_server_sends_unasked() -> None:
    """Nobody gets it, and its connection is not used again."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        (resting,) = world.server.resting.values()
        resting.write(answer(b"poison"))
        await settle()
        await world.client.ask(world.call(b"after"))

    seen = await see_both(steps)
    assert not any(b"poison" in each for each in seen.by_client)


async def test_a_server_that_ends_a_resting_connection() -> None:
    """The next call goes by another one."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        (resting,) = world.server.resting.values()
        resting.close()
        await settle()
        await world.client.ask(world.call(b"after"))

    seen = await see_both(steps)
    assert not any(b"HTTP/1.1 5" in each for each in seen.by_client)


@pytest.mark.parametrize("wholly", [True, False])
@pytest.mark.parametrize("piece", [b"", answer()[:40], LONG + b"half", CHUNKED])
async def test_a_client_that_leaves(piece: bytes, *, wholly: bool) -> None:
    """The call is given up, with its connection, however far its answer has come; also if it would still listen."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        world.server.replies = [Reply((piece, b"rest"), held=True)]
        world.server.asked.clear()
        await world.client.send(world.call(b"left"))
        await world.server.asked.wait()
        await settle()
        if wholly:
            world.client.leave()
        else:
            await world.client.say_no_more()
            await world.client.receive()
        await settle()
        await world.proxy.planes["alice"].uses.over()
        await world.client.ask(world.call(b"after"))

    await see_both(steps)


async def settle_only(_world: World) -> None:
    """Nothing changes."""


async def key_renewed(world: World) -> None:
    """The one that the client shows opens nothing any more."""
    world.keys.pop(KEY, None)
    world.keys["new"] = "alice"


def plane_of(token: str, world: World) -> Plane:
    """One with another token."""
    sessions = world.plane.sessions
    assert sessions.latest is not None
    return Plane(Exchange(world.proxy.http, Tokens(token, at_once=True), sessions.latest.policy.allowed), sessions)


async def key_of_another(world: World) -> None:
    """The key opens another account now."""
    world.proxy.planes["bob"] = plane_of("of-bob", world)
    world.keys[KEY] = "bob"


async def account_removed(world: World) -> None:
    """There is no such account any more."""
    world.proxy.planes.pop("alice", None)


async def account_exchanged(world: World) -> None:
    """It has other tokens."""
    world.proxy.planes["alice"] = plane_of("new", world)


async def fetch_session(world: World, session: dict[str, Any]) -> None:
    """The server has another Session, and the proxy gets it if it still may."""
    world.server.session = session
    async with world.proxy.request("GET", WELL_KNOWN) as response:
        await response.read()


async def api_moved(world: World) -> None:
    """The URL that the client has kept is none of the Session any more."""
    await fetch_session(world, SESSION | {"apiUrl": "/api2/"})


async def api_is_for_uploads(world: World) -> None:
    """The URL means something else now."""
    await fetch_session(world, SESSION | {"apiUrl": "/api2/", "uploadUrl": "/api/?for={accountId}"})


async def limit_lowered(world: World) -> None:
    """The call is too large."""
    core = {"urn:ietf:params:jmap:core": {"maxSizeRequest": 5}}
    await fetch_session(world, SESSION | {"capabilities": core})


async def same_session(world: World) -> None:
    """It was fetched again."""
    await fetch_session(world, SESSION)


async def token_refreshed(world: World) -> None:
    """There is another one."""
    world.proxy.tokens.tokens = ["fresh"]


async def token_odd(world: World) -> None:
    """It cannot be sent."""
    world.proxy.tokens.tokens = ["evil\r\nX: 1"]


async def token_gone(world: World) -> None:
    """The sign-in has ended."""
    world.proxy.tokens.error = SignInNeeded("alice", "the grant is gone")


async def token_to_wait_for(world: World) -> None:
    """It has to be asked for."""
    world.proxy.tokens.at_once = False


async def other_door(world: World) -> None:
    """By which only another account comes in."""
    world.serve(Door(world.keys.get, only="bob"))


async def same_door(world: World) -> None:
    """A reload that changes nothing."""
    world.serve(Door(world.keys.get))


async def no_fast_way(world: World) -> None:
    """It is not taken any more."""
    world.proxy.listener.serve(world.proxy.handler.at(Door(world.keys.get)))


async def debugging(_world: World) -> None:
    """Each request is told of."""
    logging.getLogger("jmap_proxy.proxy").setLevel(logging.DEBUG)


CHANGES: dict[str, tuple[Step, bool]] = {
    "nothing": (settle_only, True),
    "the key is renewed": (key_renewed, False),
    "the key is another account's": (key_of_another, True),
    "the account is removed": (account_removed, False),
    "the account is exchanged": (account_exchanged, True),
    "the API has moved": (api_moved, False),
    "the API's URL is for uploads": (api_is_for_uploads, False),
    "the limit is lower": (limit_lowered, False),
    "the Session is fetched again": (same_session, True),
    "the token is refreshed": (token_refreshed, True),
    "the token cannot be sent": (token_odd, False),
    "the token is gone": (token_gone, False),
    "the token is to be waited for": (token_to_wait_for, False),
    "another door": (other_door, False),
    "the same door": (same_door, True),
    "no fast way": (no_fast_way, False),
    "debugging": (debugging, False),
}
"""What may change between two calls, and whether the next one still goes the fast way."""


@pytest.mark.parametrize("name", CHANGES)
async def test_the_next_call_sees_a_change(name: str) -> None:
    """Also on a connection on which nothing has been new for long."""
    change, stays_fast = CHANGES[name]

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        await change(world)
        begun = 0 if name == "the same door" else world.begun  # that one has a lane of its own
        await world.client.ask(world.call(b"[1, 2]"))
        assert world.lane is None or (world.begun > begun) is stays_fast
        await world.client.ask(world.call(b"[]"))

    await see_both(steps)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("answered", ["plainly", "by 401", "in pieces"])
async def test_a_call_on_its_way_meets_a_change(name: str, answered: str) -> None:
    """What was decided before it was sent holds for it, in both ways."""
    pieces = {"plainly": (b"", answer()), "by 401": (b"", NO), "in pieces": (answer()[:50], answer()[50:])}[answered]

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        world.server.replies = [Reply(pieces, held=True)]
        world.server.asked.clear()
        await world.client.send(world.call(b"[1, 2]"))
        await world.server.asked.wait()
        await settle()
        await CHANGES[name][0](world)
        world.server.release.set()
        await world.client.receive()
        await world.client.ask(world.call(b"[]"))

    await see_both(steps)


@pytest.mark.parametrize("pieces", [(b"", answer()), (b"", NO), (answer()[:50], answer()[50:])])
async def test_a_listener_that_is_closed_under_a_call(pieces: tuple[bytes, ...]) -> None:
    """The call gets its answer, and with it its connection ends."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        world.server.replies = [Reply(pieces, held=True)]
        world.server.asked.clear()
        await world.client.send(world.call(b"last"))
        await world.server.asked.wait()
        await settle()
        closing = asyncio.create_task(world.proxy.listener.close())
        await settle()
        world.server.release.set()
        assert b"\r\nConnection: close\r\n" in await world.client.receive()
        await closing
        world.is_over = True

    await see_both(steps)


async def test_a_client_that_does_not_read() -> None:
    """No more is asked for than it takes, and in the end it gets all, in order."""

    async def steps(world: World) -> None:
        await world.warm_up(WARM)
        world.server.replies = [Reply((answer(b"%d" % number * 20_000),)) for number in range(100, 400)]
        for number in range(300):
            await world.client.send(world.call(b"%d" % number))
        assert len(world.server.got) < 250
        for number in range(100, 400):
            assert (await world.client.receive()).endswith(b"%d" % number)

    await see_both(steps)


def requests_of(api: str, kinds: list[str]) -> bytes:
    """A client's bytes: requests of these kinds."""
    prefix = api.removesuffix("/api/")
    known = f"{{}} HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\n"
    call = known.format(f"POST {api}")
    kind_of = {
        "call": call + "Content-Length: 2\r\n\r\n{}",
        "longer call": call + "Content-Length: 30\r\n\r\n" + "{" * 30,
        "other call": call + "X-Other: 1\r\nContent-Length: 2\r\n\r\n{}",
        "call that looks like two": call + f"Content-Length: {len(call)}\r\n\r\n{call}",
        "call without body": call + "Content-Length: 0\r\n\r\n",
        "call without length": call + "\r\n",
        "call that is too large": call + "Content-Length: 1001\r\n\r\n" + "{" * 1001,
        "call in chunks": call + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "last call": call + "Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        "call by HTTP/1.0": call.replace("/1.1", "/1.0") + "Content-Length: 2\r\n\r\n{}",
        "download": known.format(f"GET {prefix}/dl/A/B/n?accept=x") + "\r\n",
        "upload": known.format(f"POST {prefix}/up/A/") + "Content-Length: 2\r\n\r\nxx",
        "Session": known.format(f"GET {WELL_KNOWN}") + "\r\n",
        "nowhere": known.format("POST /nowhere") + "Content-Length: 2\r\n\r\n{}",
        "no key": call.replace(AUTH, "X: y") + "Content-Length: 2\r\n\r\n{}",
        "an empty line": "\r\n",
        "nonsense": "G\0T / HTTP/1.1\r\n\r\n",
    }
    return "".join(kind_of[kind] for kind in kinds).encode()


KINDS = st.sampled_from(
    ["call"] * 4
    + ["longer call", "other call", "call that looks like two", "call without body", "call without length"]
    + ["call that is too large", "call in chunks", "last call", "call by HTTP/1.0", "download", "upload", "Session"]
    + ["nowhere", "no key", "an empty line", "nonsense"]
)


@settings(max_examples=60)
@given(
    groups=st.lists(
        st.tuples(st.lists(KINDS, min_size=1, max_size=3), st.lists(st.floats(0, 1), max_size=3)),
        min_size=1,
        max_size=6,
    )
)
def test_any_requests(groups: list[tuple[list[str], list[float]]]) -> None:
    """Whatever requests follow each other on a connection, glued together and cut anywhere."""

    async def steps(world: World) -> None:
        await world.warm_up(2)
        for kinds, cuts in groups:
            data = requests_of(world.api, kinds)
            await world.client.send(*cut(data, cuts))
            for _ in range(len(kinds) - kinds.count("an empty line")):
                if not world.client.is_open:
                    break
                await world.client.receive()

    asyncio.run(see_both(steps))


def cut(whole: bytes, cuts: list[float]) -> tuple[bytes, ...]:
    """Bytes in pieces, cut at these fractions of their length."""
    ends = sorted({0, len(whole), *(int(len(whole) * each) for each in cuts)})
    return tuple(whole[start:end] for start, end in itertools.pairwise(ends))


STEPS: st.SearchStrategy[tuple[str, list[float]]] = st.one_of(
    st.tuples(st.sampled_from([*WHOLE, "401"]), st.lists(st.floats(0, 1), max_size=2)),
    st.tuples(st.sampled_from([*FAULTY, *CHANGES]), st.just([])),
    st.tuples(st.just("nothing"), st.just([])),
)
"""The name of an answer and where it is cut, or of a change."""


async def take(step: tuple[str, list[float]], world: World) -> None:
    """Let a change happen, or give the server an answer to give; then call."""
    name, cuts = step
    if name in CHANGES:
        await CHANGES[name][0](world)
    elif name in FAULTY:
        world.server.replies = [FAULTY[name]]
    else:
        world.server.replies = [Reply(cut(WHOLE.get(name, NO), cuts))]
    await world.client.ask(world.call(b"[1,2]"))
    world.server.replies = []


@settings(max_examples=60)
@given(script=st.lists(STEPS, min_size=2, max_size=12))
def test_any_script(script: list[tuple[str, list[float]]]) -> None:
    """Whatever answers and changes follow each other, in whatever pieces."""

    async def steps(world: World) -> None:
        await world.warm_up(2)
        for step in script:
            await take(step, world)

    asyncio.run(see_both(steps))


class Rotating(Tokens):
    """A source that always has another token of its account."""

    def __init__(self, account: str) -> None:
        super().__init__(f"{account}-0", at_once=True)
        self.account = account

    async def replace_rejected(self, rejected: str) -> str:
        """The next one, unless there is one already."""
        if rejected == self.tokens[0]:
            self.tokens = [f"{self.account}-{int(rejected.rpartition('-')[2]) + 1}"]
        return self.tokens[0]


@dataclass
class Echo:
    """A server that answers with the token and the body that it got, mostly well, sometimes oddly."""

    chance: random.Random

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes on a connection."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            (token,), (length,) = re.findall(rb"Bearer (\S+)", head), re.findall(rb"Content-Length: (\d+)", head)
            whole = answer(token + b" " + await reader.readexactly(int(length)))
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
            if self.chance.random() < 0.7:
                writer.write(whole)
            elif not await self._oddly(whole, writer):
                return

    async def _oddly(self, whole: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        head, _, body = whole.partition(b"\r\n\r\n")
        at = self.chance.randrange(1, len(whole))
        chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        last = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + b"\r\n\r\n" + body
        pieces, goes_on = self.chance.choice(
            [
                ((whole[:at], whole[at:]), True),
                ((head[: head.index(b"Content-Length")] + chunks,), True),
                ((b"HTTP/1.1 100 Continue\r\n\r\n", whole), True),
                ((answer(body, line=b"HTTP/1.1 404 Not Found"),), True),
                ((NO,), True),
                ((whole + answer(b"poison"),), True),
                ((whole,), False),
                ((head[: head.index(b"Content-Length")] + chunks[:-5],), False),
                ((last,), False),
                ((whole[:at],), False),
                ((b"",), False),
            ]
        )
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        if not goes_on and self.chance.random() < 0.5:
            writer.transport.abort()
        return goes_on


async def call_often(port: int, api: str, account: str, number: int) -> Counter[str]:
    """Calls by one client, each with its own body; what came of them."""
    key = {"alice": KEY, "bob": "key of bob"}[account]
    head = f"POST {api} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: "
    client, outcomes = Client(port), Counter[str]()
    for turn in range(40):
        body = f"{account} {number} {turn} ".encode() * (1 + turn % 5)
        came = await client.ask(head.encode() + b"%d\r\n\r\n" % len(body) + body)
        status = "cut" if came.endswith(b"(cut)(end)") else came.split(b" ")[1].decode()
        if status in ("200", "404"):
            token, _, echoed = came.removesuffix(b"(end)").partition(b"\r\n\r\n")[2].partition(b" ")
            assert (token.partition(b"-")[0], echoed) == (account.encode(), body)
        outcomes[status] += 1
    client.leave()
    return outcomes


@pytest.mark.parametrize("seed", range(3))
async def test_many_clients_at_a_time_get_their_own_answers(seed: int) -> None:
    """Whatever becomes of the others' connections; afterwards none is in use, and the listener ends at once."""
    door = Door({KEY: "alice", "key of bob": "bob"}.get)
    chance = random.Random(seed)  # noqa: S311 - to be repeatable
    async with (
        asyncio.timeout(TIME_LIMIT),
        raw_server(scripted(Echo(chance))) as server,
        proxy_to(f"{server}{WELL_KNOWN}", Rotating("alice"), door=door, patience=2 * TIME_LIMIT) as proxy,
    ):
        api = "/" + (await proxy.session())["apiUrl"].split("/", 3)[3]
        exchange = Exchange(proxy.http, Rotating("bob"), {parse_origin(server)})
        planes = proxy.planes | {"bob": Plane(exchange, proxy.sessions)}
        proxy.planes.update(planes)
        lane = NotingLane(proxy.handler.lane(door))
        proxy.listener.serve(proxy.handler.at(door), lane)
        each = [call_often(proxy.port, api, account, number) for account in planes for number in range(25)]
        outcomes = sum(await asyncio.gather(*each), Counter[str]())
        await nothing_left(proxy, list(planes.values()))
    assert outcomes.total() == 2000
    assert outcomes["200"] > 1000
    assert {"404", "502", "cut"} <= set(outcomes)
    assert lane.begun > 1000
    assert 100 < lane.carried < lane.begun / 2


async def test_a_call_that_comes_while_the_listener_waits_for_another() -> None:
    """It gets its answer, and its connection ends."""

    async def steps(world: World) -> None:
        other = Client(world.proxy.port)
        await other.ask(world.call(b"other"))
        await world.warm_up(WARM)
        world.server.replies = [Reply((b"", answer()), held=True)]
        world.server.asked.clear()
        await other.send(world.call(b"held"))
        await world.server.asked.wait()
        closing = asyncio.create_task(world.proxy.listener.close())
        await settle()
        assert b"\r\nConnection: close\r\n" in await world.client.ask(world.call(b"late"))
        world.server.release.set()
        assert b"\r\nConnection: close\r\n" in await other.receive()
        await closing
        world.is_over = True

    await see_both(steps)

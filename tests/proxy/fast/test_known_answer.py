from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import SERVER_SOFTWARE, HttpResponseParser, RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy

from jmap_proxy.origins import Origin
from jmap_proxy.proxy.door.access import Visitor
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.fast.known_answer import KnownAnswer, is_plain
from jmap_proxy.proxy.relay import answer_fields
from tests.proxy.support import AUTH, KEY, Proxy, answering, proxy_to, raw_server

if TYPE_CHECKING:
    from typing import Any

END = b"\r\n\r\n"
WEB = "https://mail.example"
DATE = "Sun, 29 Nov 2026 02:19:34 GMT"
LATER = "Mon, 30 Nov 2026 00:00:00 GMT"
FIELDS = [("Date", DATE), ("Content-Type", "application/json"), ("Content-Length", "5")]
TIME_LIMIT = 10


def message(
    *more: tuple[str, str], without: str = "", code: int = 200, version: Any = HttpVersion11, **state: bool
) -> RawResponseMessage:
    """An answer's head as the parser gives it."""
    fields = [*(field for field in FIELDS if field[0] != without), *more]
    headers = CIMultiDictProxy(CIMultiDict(fields))
    told = {"should_close": False, "upgrade": False, "chunked": False} | state
    return RawResponseMessage(version, code, "OK", headers, (), compression=None, **told)


def test_a_whole_200_is_plain() -> None:
    """With what aiohttp would otherwise add to it, once; further fields do not matter."""
    plain = message(("X-A", "1"), ("X-A", "2"), ("Server", "x"), ("Connection", "keep-alive"))
    assert is_plain(plain, plain.headers, 5)


NOT_PLAIN: dict[str, RawResponseMessage] = {
    "201": message(code=201),
    "204": message(code=204),
    "206": message(code=206),
    "304": message(code=304),
    "401": message(code=401),
    "500": message(code=500),
    "100": message(code=100),
    "HTTP/1.0": message(version=HttpVersion10),
    "the last one": message(should_close=True),
    "an upgrade": message(upgrade=True),
    "Location": message(("location", "/")),
    "Transfer-Encoding": message(("transfer-encoding", "chunked")),
    "no Content-Length": message(without="Content-Length"),
    "no Content-Type": message(without="Content-Type"),
    "no Date": message(without="Date"),
    "two Content-Length": message(("content-length", "5")),
    "two Content-Type": message(("content-type", "text/plain")),
    "two Date": message(("date", DATE)),
    "a longer body": message(("content-length", "6"), without="Content-Length"),
    "a shorter body": message(("content-length", "4"), without="Content-Length"),
    "a length in other digits": message(("content-length", "05"), without="Content-Length"),
    "a length with a sign": message(("content-length", "+5"), without="Content-Length"),
    "an empty length": message(("content-length", ""), without="Content-Length"),
}


@pytest.mark.parametrize("other", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_any_other_answer_is_not(other: RawResponseMessage) -> None:
    """Each of these has something about it that the ordinary way looks at."""
    assert not is_plain(other, other.headers, 5)


async def ordinary(proxy: Proxy, *more: str) -> bytes:
    """What a client gets by the ordinary way."""
    path = (await proxy.url("apiUrl")).removeprefix(proxy.origin)
    reader, _ = await proxy.raw(
        f"POST {path} HTTP/1.1", "Host: localhost", AUTH, "Content-Length: 2", *more, body=b"{}"
    )
    head = await reader.readuntil(END)
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    assert length is not None
    return head + await reader.readexactly(int(length[1]))


def learn(data: bytes, web_origin: str = "") -> KnownAnswer:
    """The kind of an answer, learned as crossings learn it."""
    loop = asyncio.get_running_loop()
    parser = HttpResponseParser(BaseProtocol(loop), loop, 1 << 18, read_until_eof=True, auto_decompress=False)
    ((head, _),), _, _ = parser.feed_data(data)
    start = data.index(END) + len(END)
    assert is_plain(head, head.headers, len(data) - start)
    visitor = Visitor(Origin("http", "localhost", 80), "alice", web_origin, KEY)
    return KnownAnswer(data[:start], head.reason, answer_fields(head.headers, visitor))


def answer(*lines: str, body: bytes = b"first", status: str = "HTTP/1.1 200 OK") -> bytes:
    """A server's answer."""
    return "\r\n".join([status, *lines, "", ""]).encode().replace(b"{length}", b"%d" % len(body)) + body


DATED, TYPED, LONG = f"Date: {DATE}", "Content-Type: application/json", "Content-Length: {length}"
ANSWERS = {
    "least": answer(DATED, TYPED, LONG),
    "another order": answer(LONG, TYPED, DATED),
    "Server": answer("Server: mail/1", DATED, TYPED, LONG),
    "Server last": answer(LONG, DATED, TYPED, "server: mail/1"),
    "two Servers": answer("Server: mail/1", DATED, TYPED, LONG, "SERVER: mail/2"),
    "an empty Server": answer("Server:", DATED, TYPED, LONG),
    "aiohttp as the server": answer(TYPED, LONG, DATED, f"Server: {SERVER_SOFTWARE}"),
    "aiohttp in another case": answer(f"SERVER: {SERVER_SOFTWARE}", TYPED, LONG, DATED),
    "aiohttp and another": answer(f"Server: {SERVER_SOFTWARE}", TYPED, LONG, DATED, "server: gateway"),
    "another and aiohttp": answer("server: gateway", TYPED, LONG, DATED, f"Server: {SERVER_SOFTWARE}"),
    "odd case": answer("dATE:" + DATE, "CONTENT-type:  text/plain; charset=UTF-8", "content-length:{length}", "X-a: B"),
    "no phrase": answer(DATED, TYPED, LONG, status="HTTP/1.1 200 "),
    "not even a space": answer(DATED, TYPED, LONG, status="HTTP/1.1 200"),
    "another phrase": answer(DATED, TYPED, LONG, status="HTTP/1.1 200 Very  well, thanks"),
    "no body": answer(DATED, TYPED, LONG, body=b""),
    "a large body": answer(DATED, TYPED, LONG, body=b"\0\r\n" * 15000),
    "an encoded body": answer(DATED, TYPED, "Content-Encoding: gzip", LONG, body=b"\x1f\x8b..."),
    "an empty type": answer(DATED, "Content-Type:", LONG),
    "fields more than once": answer("X-A: 1", DATED, "X-B: 2", TYPED, "x-a: 3", LONG, "Vary: Accept", 'ETag: W/"1"'),
    "fields that are dropped": answer(
        *["Set-Cookie: a=b", "Alt-Svc: h3", DATED, "Strict-Transport-Security: max-age=1", TYPED, LONG],
        *["Access-Control-Allow-Origin: *", "Keep-Alive: timeout=5", "Content-Security-Policy: none", "X_A: 1"],
        *["Connection: keep-alive, X-Hop", "X-Hop: 1", "X-Kept: 1", "X-Frame-Options: ALLOW", "Via: 1.1 gateway"],
    ),
    "spaces and tabs": answer("Date:   " + DATE, TYPED, "Content-Length:   {length}", "X-A: \t a \t b\t", "X-Empty:"),
}  # fmt: skip


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS.keys())
async def test_a_client_gets_the_same_bytes_by_both_ways(data: bytes) -> None:
    """Each field in its place, as aiohttp writes it."""
    async with raw_server(answering(data)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        async with asyncio.timeout(TIME_LIMIT):
            expected = await ordinary(proxy)
    known = learn(data)
    assert known.for_client(data) == expected


async def test_an_allowed_web_client_is_told_so_by_both_ways() -> None:
    """Its answers bear the fields of CORS."""
    data = ANSWERS["fields that are dropped"]
    door = Door({KEY: "alice"}.get, web_origins=frozenset({WEB}))
    async with raw_server(answering(data)) as server, proxy_to(f"{server}/.well-known/jmap", door=door) as proxy:
        async with asyncio.timeout(TIME_LIMIT):
            expected = await ordinary(proxy, f"Origin: {WEB}")
    known = learn(data, WEB)
    assert f"Access-Control-Allow-Origin: {WEB}".encode() in expected
    assert known.for_client(data) == expected


@pytest.mark.parametrize(
    "lines",
    [[LONG, DATED, "X-A: 5", TYPED], [DATED, "X-Date: " + DATE, LONG, TYPED]],
    ids=["length first", "date first"],
)
async def test_the_next_answer_has_a_date_and_a_body_of_its_own(lines: list[str]) -> None:
    """And all else of the first one, also what looks alike."""
    first, body = answer(*lines), b"another body\r\n\r\n"
    known = learn(first)
    one = known.for_client(first)
    assert one is not None
    second = answer(*[LATER.join(line.split(DATE)) if line == DATED else line for line in lines], body=body)
    assert known.for_client(second) == (
        one.removesuffix(b"first").replace(b"\r\n" + DATED.encode(), f"\r\nDate: {LATER}".encode())
        .replace(b"\r\nContent-Length: 5", b"\r\nContent-Length: 16") + body
    )  # fmt: skip
    assert known.for_client(first) == one
    assert known.for_client(second.replace(b"X-", b"Y-")) is None


HEAD = answer(DATED, TYPED, LONG, body=b"").replace(b": 0", b": 5")
UNKNOWABLE: dict[str, tuple[bytes, str, list[tuple[str, str]]]] = {
    "a phrase that is not ASCII": (HEAD, "Schön", FIELDS),
    "a value that is not ASCII": (HEAD, "OK", [*FIELDS, ("X-A", "ü")]),
    "a value that is not UTF-8": (HEAD, "OK", [*FIELDS, ("X-A", "\udcfc")]),
    "a name that is not ASCII": (HEAD, "OK", [*FIELDS, ("X-Ü", "1")]),
    "NUL in a value": (HEAD, "OK", [*FIELDS, ("X-A", "1\x002")]),
    "NUL in the phrase": (HEAD, "O\0K", FIELDS),
    "no date for the client": (HEAD, "OK", FIELDS[1:]),
    "two dates for the client": (HEAD, "OK", [*FIELDS, ("date", DATE)]),
    "no date of the server": (HEAD.replace(b"Date", b"X-Date"), "OK", FIELDS),
    "no length of the server": (HEAD.replace(b"Content-Length", b"X-Length"), "OK", FIELDS),
    "a bare LF": (HEAD.replace(b"\r\nContent-Type", b"\nContent-Type"), "OK", FIELDS),
}


@pytest.mark.parametrize(("head", "reason", "fields"), UNKNOWABLE.values(), ids=UNKNOWABLE.keys())
def test_an_answer_that_cannot_be_known(head: bytes, reason: str, fields: list[tuple[str, str]]) -> None:
    """Odd ones are left to aiohttp."""
    plain = [field for field in fields if field[0] != "Content-Length"]
    with pytest.raises(ValueError, match=r"."):
        KnownAnswer(head, reason, plain)

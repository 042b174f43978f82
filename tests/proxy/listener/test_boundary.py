"""Where the next message begins: followed read by read, held against the parser itself."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.listener.boundary import Boundary

NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


def message(body: bytes = b"", *fields: str, method: str = "POST", length: int | None = None) -> bytes:
    """A request."""
    told = [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([f"{method} /a HTTP/1.1", "Host: x", *fields, *told, "", ""]).encode() + body


class Parser:
    """aiohttp's parser, and a boundary that follows it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpRequestParser(BaseProtocol(loop), loop, 1 << 16)
        self.boundary = Boundary()
        self.latest: Any = None

    def take(self, data: bytes) -> int:
        """As `FastConnection` does; raises what the parser raises."""
        messages, _, _ = self._parser.feed_data(data)
        if messages:
            self.latest = messages[-1]
        return self.boundary.took(data, messages[0][0] if len(messages) == 1 else None)

    def stands_between(self) -> bool:
        """Whether the parser takes what comes next for a whole new request, and has all of the one before."""
        if self.latest is not None and not self.latest[1].is_eof():
            return False
        try:
            messages, _, _ = self._parser.feed_data(NEXT)
        except HttpProcessingError:
            return False
        return [each.path for each, _ in messages] == ["/next"]


@pytest.fixture(name="loop")
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that need not run."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(name="parser")
def _parser(loop: asyncio.AbstractEventLoop) -> Parser:
    """A parser at the begin of a connection."""
    return Parser(loop)


def test_a_whole_message_leads_to_the_next_one(parser: Parser) -> None:
    """Its body begins where it is said to."""
    assert parser.boundary.is_here
    for body in (b"", b"abc", b"\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"):
        data = message(body)
        start = parser.take(data)
        assert data[start:] == body
        assert start > 0
        assert parser.boundary.is_here
    assert parser.take(NEXT) == len(NEXT)
    assert parser.boundary.is_here


def test_a_body_in_pieces_leads_to_the_next_one(parser: Parser) -> None:
    """When its last byte has come, and not before; such a message is not given as a whole one."""
    data = message(b"0123456789")
    for piece in (data[:-10], b"0123", b"4", b"56789"):
        assert parser.take(piece) == 0
        assert parser.boundary.is_here is (piece == b"56789")
    assert parser.stands_between()


def test_nothing_changes_nothing(parser: Parser) -> None:
    """By that aiohttp lets its parser go on."""
    here = []
    for piece in (b"", message(b"a", length=2), b"", b"b", b""):
        assert parser.take(piece) == 0
        here.append(parser.boundary.is_here)
    assert here == [True, False, False, True, True]


LOSING = {
    "half a head": [message()[:20]],
    "a head in two reads": [message()[:20], message()[20:]],
    "two messages": [message() + message()],
    "the begin of a second one": [message() + b"GET"],
    "more than the body": [message(b"a", length=3), b"bcPOST"],
    "an empty line in front": [b"\r\n" + message()],
    "two empty lines in front": [b"\r\n\r\n" + message(b"abc")],
    "two in front, and half a body": [b"\r\n\r\n" + message(b"abc", length=50)],
    "LF in front": [b"\n" + message()],
    "an empty line behind": [message() + b"\r\n"],
    "chunks": [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "close": [message(b"", "Connection: close")],
    "an upgrade": [message(b"", "Connection: upgrade", "Upgrade: websocket", method="GET")],
    "HTTP/1.0": [message().replace(b"HTTP/1.1", b"HTTP/1.0")],
}


@pytest.mark.parametrize("reads", LOSING.values(), ids=LOSING.keys())
def test_what_cannot_be_followed(parser: Parser, reads: Sequence[bytes]) -> None:
    """After that nothing is known for as long as the connection lasts."""
    for read in reads:
        assert parser.take(read) == 0
    assert not parser.boundary.is_here
    assert parser.boundary.took(message(), None) == 0
    assert not parser.boundary.is_here


def test_it_can_be_lost(parser: Parser) -> None:
    """Where nobody follows."""
    parser.boundary.lose()
    assert parser.take(message()) == 0
    assert not parser.boundary.is_here


PARTS = st.sampled_from(
    [
        *(message(b""), message(b"abc"), message(b"\r\n\r\nGET"), message(b"abc", "X-A: 1")),
        *(
            NEXT,
            b"\r\n",
            b"\n",
            b"\r",
            b"a",
            b"\r\n\r\n",
            b"POST /a HTTP/1.1\r\nHost: x\r\n",
            b"Content-Length: 12\r\n",
        ),
        *(message(b"abc", length=30), message(b"", "Transfer-Encoding: chunked"), b"0\r\n\r\n", b"x" * 30),
    ]
)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map(b"".join), max_size=5), st.data())
def test_the_parser_always_agrees(reads: list[bytes], data: st.DataObject) -> None:
    """Whatever comes, in whatever pieces: what is called the begin of a message is one to the parser."""
    cuts = [data.draw(st.integers(0, len(read))) for read in reads]
    pieces = [piece for read, cut in zip(reads, cuts, strict=True) for piece in (read[:cut], read[cut:])]
    loop = asyncio.new_event_loop()
    try:
        for count in range(len(pieces) + 1):
            parser = Parser(loop)
            try:
                for piece in pieces[:count]:
                    start = parser.take(piece)
                    if start:
                        assert parser.latest[1].is_eof()
                        assert len(piece) - start == int(parser.latest[0].headers.get("Content-Length", "0"))
            except HttpProcessingError:
                return  # the connection ends
            if parser.boundary.is_here:
                assert parser.stands_between()
    finally:
        loop.close()

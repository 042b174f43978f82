"""The learned head against aiohttp's own parsers, which are the ones whose reading it stands for."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpResponseParser
from hypothesis import assume, given
from hypothesis import strategies as st

from jmap_proxy.proxy.wire.known_head import END, LONGEST_LENGTH, KnownHead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 1 << 18
DATE = b"Sun, 29 Nov 2026 02:19:34 GMT"
LATER = b"Mon, 30 Nov 2026 00:00:00 GMT"
REQUEST = b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nX-A: 1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n"
BODY = b"first"
PROBE = {
    False: b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n",
    True: b"HTTP/1.1 299 Probe\r\nContent-Length: 0\r\n\r\n",
}
"""Is read as itself by a parser that stands between two messages."""


class Reading(NamedTuple):
    """One whole message as a parser reads it, all else than what may differ in `same`."""

    same: tuple[object, ...]
    dates: list[str]
    body: bytes


class Parser:
    """aiohttp's, of requests and of answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def read(self, data: bytes, *, answer: bool) -> Reading | None:
        """What is read of the bytes, if that is one whole message and nothing behind it."""
        parser = self._answers() if answer else self._requests()
        try:
            messages, upgraded, _ = parser.feed_data(data)
        except Exception:  # noqa: BLE001 - of several kinds: it cannot be read
            return None
        if len(messages) != 1 or upgraded or not messages[0][1].is_eof():
            return None
        message, content = messages[0]
        if not (message.should_close or _stands_between(parser, PROBE[answer])):
            return None
        vary = ("content-length", "date") if answer else ("content-length",)
        first = (message.code, message.reason) if answer else (message.method, message.path)
        fields = [(name, "" if name.lower() in vary else value) for name, value in message.headers.items()]
        state = message.version, message.should_close, message.upgrade, message.chunked, message.compression
        return Reading((first, fields, state), message.headers.getall("Date", []), content.read_nowait())

    def _requests(self) -> Any:
        return HttpRequestParser(BaseProtocol(self._loop), self._loop, LIMIT, auto_decompress=False)

    def _answers(self) -> Any:
        return HttpResponseParser(
            BaseProtocol(self._loop), self._loop, LIMIT, read_until_eof=True, auto_decompress=False
        )


def _stands_between(parser: Any, probe: bytes) -> bool:
    """Whether a parser takes what comes next for the begin of a message."""
    try:
        messages, _, _ = parser.feed_data(probe)
    except Exception:  # noqa: BLE001 - as above
        return False
    return len(messages) == 1 and "probe" in str(messages[0][0]).lower()


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    """Give the parsers."""
    loop = asyncio.new_event_loop()
    yield Parser(loop)
    loop.close()


SPECIAL = re.compile(
    r"(?i)content-length|transfer-encoding|connection|proxy-connection|upgrade|host|date|sec-websocket-key1|expect"
)
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAMES = st.text(TOKEN, min_size=1, max_size=12).filter(lambda name: not SPECIAL.fullmatch(name))
VALUES = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20)
SPACES = st.integers(0, 3).map(lambda count: " " * count)
BODIES = st.one_of(st.binary(max_size=40), st.sampled_from([b"", END, REQUEST, ANSWER, b"x" * 1000]))
ZEROS = st.integers(0, LONGEST_LENGTH - 4)
DAYS = st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
MONTHS = st.sampled_from(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
DATES = st.builds(
    "{0}, {2:02} {1} {3:04} {4:02}:{5:02}:{6:02} GMT".format,
    DAYS,
    MONTHS,
    st.integers(1, 31),
    st.integers(1900, 2999),
    *[st.integers(0, 59)] * 3,
)


@st.composite
def cased(draw: st.DrawFn, name: str) -> str:
    """A field name, its letters in any case."""
    return "".join(draw(st.sampled_from([each.lower(), each.upper()])) for each in name)


class Form(NamedTuple):
    """A head but for what may differ in it: `length` and `date` stand in its lines."""

    template: str
    is_answer: bool

    def message(self, body: bytes, zeros: int, date: str) -> bytes:
        """A message with such a head."""
        filled = self.template.replace("\1", "0" * zeros + str(len(body))).replace("\2", date)
        return filled.encode() + body

    def head(self, body: bytes, date: str) -> bytes:
        """The head of such a message, to be learned."""
        return self.message(body, 0, date).removesuffix(body) if body else self.message(body, 0, date)


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Heads of requests and answers: fields in any order, names in any case, any number of spaces."""
    is_answer = draw(st.booleans())
    path = draw(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=10))
    others = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    lines = [f"{name}:{draw(SPACES)}{value}" for name, value in others]
    lines.append(f"{draw(cased('content-length'))}:{draw(SPACES)}\1")
    lines.append(f"{draw(cased('date'))}:{draw(SPACES)}\2" if is_answer else f"{draw(cased('host'))}: here")
    first = f"HTTP/1.1 200 {draw(st.sampled_from(['OK', 'Fine, thanks', '']))}" if is_answer else None
    return Form("\r\n".join([first or f"POST /{path} HTTP/1.1", *draw(st.permutations(lines)), "", ""]), is_answer)


@given(form=forms(), bodies=st.tuples(BODIES, BODIES), zeros=ZEROS, dates=st.tuples(DATES, DATES))
def test_what_the_parser_reads_alike_is_recognised(
    parser: Parser, form: Form, bodies: tuple[bytes, bytes], zeros: int, dates: tuple[str, str]
) -> None:
    """Another body, its length with or without zeros before it, another date: whatever else stands in the head."""
    learned = parser.read(form.message(bodies[0], 0, dates[0]), answer=form.is_answer)
    assert learned is not None
    known = KnownHead(form.head(bodies[0], dates[0]), dated=form.is_answer)
    message = form.message(bodies[1], zeros, dates[1])
    start = known.start_of_body(message)
    assert message[start:] == bodies[1]
    assert start == len(message) - len(bodies[1])
    reading = parser.read(message, answer=form.is_answer)
    assert reading == (learned.same, [dates[1]] if form.is_answer else [], bodies[1])
    assert known.date == (dates[1].encode() if form.is_answer else b"")


PIECES = [
    *[
        b"\r",
        b"\n",
        b"\r\n",
        END,
        b"\n\n",
        b" ",
        b"\t",
        b"\0",
        b"\x7f",
        b"\x80",
        b"\xff",
        b":",
        b"0",
        b"5",
        b"+5",
        b"-",
    ],
    *[b"\r\nContent-Length: 5", b"Content-Length: 0\r\n", b"\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked"],
    *[b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b"\r\n folded", b"Upgrade: websocket\r\n", DATE],
    *[
        b"\r\nDate: " + DATE,
        b"Date: x\r\n",
        b"5\r\nfirst\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.1",
    ],
]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8), st.sampled_from(PIECES) | st.binary(max_size=3)), max_size=3
)
"""Where, as a part of the length; how many bytes go; what comes in their place."""


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """The bytes with these changes."""
    for place, gone, put in edits:
        at = int(place * len(data))
        data = data[:at] + put + data[at + gone :]
    return data


def check_sound(parser: Parser, known: KnownHead, learned: Reading, message: bytes, *, answer: bool) -> None:
    """See that the parser agrees where a message is recognised."""
    start = known.start_of_body(message)
    if start:
        dates = [known.date.decode()] if answer else learned.dates
        assert parser.read(message, answer=answer) == (learned.same, dates, message[start:])


@given(form=forms(), body=BODIES, dates=st.tuples(DATES, DATES), edits=EDITS)
def test_what_is_recognised_is_read_alike_by_the_parser(
    parser: Parser, form: Form, body: bytes, dates: tuple[str, str], edits: list[tuple[float, int, bytes]]
) -> None:
    """However the message was changed: one message, the same but for length and date, and its body is the rest."""
    learned = parser.read(form.message(body, 0, dates[0]), answer=form.is_answer)
    assert learned is not None
    known = KnownHead(form.head(body, dates[0]), dated=form.is_answer)
    message = edited(form.message(body, 0, dates[1]), edits)
    check_sound(parser, known, learned, message, answer=form.is_answer)


@given(
    form=forms(), body=BODIES, dates=st.tuples(DATES, DATES), edits=st.tuples(EDITS.filter(bool), EDITS), grown=BODIES
)
def test_an_odd_head_is_not_misunderstood(
    parser: Parser,
    form: Form,
    body: bytes,
    dates: tuple[str, str],
    edits: tuple[list[tuple[float, int, bytes]], list[tuple[float, int, bytes]]],
    grown: bytes,
) -> None:
    """As the last one, for heads that parsers take all the same (of answers: bare LF, folded lines, odd characters)."""
    odd = edited(form.message(body, 0, dates[0]), edits[0])
    learned = parser.read(odd, answer=form.is_answer)
    assume(learned is not None)
    assert learned is not None
    start = odd.find(END) + len(END)
    try:
        known = KnownHead(odd[:start], dated=form.is_answer)
    except ValueError:
        return
    check_sound(parser, known, learned, odd, answer=form.is_answer)
    check_sound(parser, known, learned, edited(odd, edits[1]), answer=form.is_answer)
    longer = odd.replace(str(len(body)).encode(), str(len(grown)).encode()).replace(dates[0].encode(), DATE)
    check_sound(parser, known, learned, longer[:start] + grown, answer=form.is_answer)


def literal_places(head: bytes, dated: bytes) -> list[int]:
    """Where a byte of the head may not differ."""
    length_at = head.index(b": 5") + 2
    date_at = head.index(dated) if dated else len(head)
    return [at for at in range(len(head)) if at != length_at and not date_at <= at < date_at + len(dated)]


@pytest.mark.parametrize(("head", "date"), [(REQUEST, b""), (ANSWER, DATE)], ids=["request", "answer"])
def test_one_other_byte_in_a_head_makes_it_another_one(head: bytes, date: bytes) -> None:
    """Anywhere but in the length and the date; so also in the local key."""
    known = KnownHead(head, dated=bool(date))
    assert known.start_of_body(head + BODY) == len(head)
    for at in literal_places(head, date):
        for put in (head[at] ^ 0x20, head[at] ^ 1, 0x30, 0x0D, 0x0A, 0x20, 0, 0xFF):
            changed = head[:at] + bytes([put]) + head[at + 1 :] + BODY
            assert put == head[at] or not known.start_of_body(changed), changed


@pytest.mark.parametrize(("head", "dated"), [(REQUEST, False), (ANSWER, True)], ids=["request", "answer"])
@given(body=BODIES, count=st.integers(1, 50))
def test_more_or_less_than_one_message_is_not_recognised(head: bytes, dated: bool, body: bytes, count: int) -> None:
    """Neither any number of bytes too few nor too many."""
    known = KnownHead(head, dated=dated)
    whole = head.replace(b": 5", b": %d" % len(body)) + body
    assert known.start_of_body(whole)
    assert not known.start_of_body(whole[:-count])
    assert not known.start_of_body(whole + b"x" * count)
    assert not known.start_of_body(b"")


LENGTHS = {
    "zeros before it": (b"0005", True),
    "as long as it may be": (b"5".zfill(LONGEST_LENGTH), True),
    "longer": (b"5".zfill(LONGEST_LENGTH + 1), False),
    "far longer": (b"5".zfill(5000), False),
    "more than 64 bits": (b"18446744073709551621", False),
    "empty": (b"", False),
    "plus": (b"+5", False),
    "minus": (b"-5", False),
    "underscore": (b"5_0", False),
    "underscore before it": (b"_5", False),
    "Arabic-Indic digit": ("\u0665".encode(), False),
    "fullwidth digit": ("\uff15".encode(), False),
    "superscript digit of ISO 8859-1": (b"\xb9", False),
    "hexadecimal": (b"0x5", False),
    "fraction": (b"5.0", False),
    "list": (b"5, 5", False),
    "space before it": (b" 5", False),
    "space behind it": (b"5 ", False),
    "tab before it": (b"\t5", False),
    "vertical tab": (b"\x0b5", False),
    "NUL": (b"5\0", False),
    "folded": (b"\r\n 5", False),
    "line feed": (b"5\n", False),
}


@pytest.mark.parametrize(("length", "recognised"), LENGTHS.values(), ids=LENGTHS.keys())
def test_only_digits_are_a_length(length: bytes, recognised: bool) -> None:
    """And no more of them than need be; the parser has to say of anything else what it means."""
    known = KnownHead(REQUEST)
    head = REQUEST.replace(b": 5", b": " + length)
    assert known.start_of_body(head + BODY) == (len(head) if recognised else 0)


CHANGES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "a second Content-Length": lambda head, body: head.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + body,
    "another one behind it": lambda head, body: head.replace(b": 5\r\n", b": 5\r\nContent-Length: 5\r\n") + body,
    "another one before it": lambda head, body: head.replace(b"Content-L", b"Content-Length: 5\r\nContent-L") + body,
    "none": lambda head, body: head.replace(b"Content-Length: 5\r\n", b"") + body,
    "the same once more behind it": lambda head, body: (head + body) * 2,
    "another request behind it": lambda head, body: head + body + PROBE[False],
    "an empty line before it": lambda head, body: b"\r\n" + head + body,
    "an empty line behind it": lambda head, body: head + body + b"\r\n",
    "bare LF at all ends": lambda head, body: head.replace(b"\r\n", b"\n") + body,
    "bare LF behind the length": lambda head, body: head.replace(b": 5\r\n", b": 5\n") + body,
    "bare CR behind the length": lambda head, body: head.replace(b": 5\r\n", b": 5\r") + body,
    "a folded line behind the length": lambda head, body: head.replace(b": 5\r\n", b": 5\r\n 0\r\n") + body,
    "a coding": lambda head, body: head.replace(b": 5\r\n", b": 5\r\nTransfer-Encoding: chunked\r\n") + body,
    "a coding at the end": lambda head, body: head.replace(END, b"\r\nTransfer-Encoding: chunked" + END) + body,
    "a coding in place of the length": lambda head, _: (
        head.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"5\r\nfirst\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(("head", "dated"), [(REQUEST, False), (ANSWER, True)], ids=["request", "answer"])
def test_another_framing_is_another_head(head: bytes, dated: bool, change: Callable[[bytes, bytes], bytes]) -> None:
    """Whatever could let somebody else see another message in the same bytes."""
    changed = change(head, BODY)
    assert changed != head + BODY
    assert not KnownHead(head, dated=dated).start_of_body(changed)


OTHER_DATES = {
    "none": b"",
    "RFC 850": b"Sunday, 29-Nov-26 02:19:34 GMT",
    "asctime": b"Sun Nov 29 02:19:34 2026",
    "another zone": b"Sun, 29 Nov 2026 02:19:34 CET",
    "an offset": b"Sun, 29 Nov 2026 02:19:34 +0000",
    "one digit": b"Sun, 9 Nov 2026 02:19:34 GMT",
    "another case": b"sun, 29 nov 2026 02:19:34 gmt",
    "more behind it": DATE + b" x",
    "space behind it": DATE + b" ",
    "space before it": b" " + DATE,
    "NUL": DATE[:-1] + b"\0",
    "NUL in a number": DATE.replace(b"2026", b"20\x0026"),
    "line feed": DATE + b"\n",
    "line feed and a field": DATE + b"\nX-A: 1",
    "escape": b"\x1b[2J" + DATE,
    "not ASCII": "Sün, 29 Nov 2026 02:19:34 GMT".encode(),
    "digits of another script": "Sun, \u0662\u0669 Nov 2026 02:19:34 GMT".encode(),
}


@pytest.mark.parametrize("date", OTHER_DATES.values(), ids=OTHER_DATES.keys())
def test_only_one_form_is_a_date(date: bytes) -> None:
    """RFC 9110 §5.6.7: a client gets nothing else in its place. The date that came last is kept."""
    known = KnownHead(ANSWER, dated=True)
    assert not known.start_of_body(ANSWER.replace(DATE, date) + BODY)
    later = ANSWER.replace(DATE, LATER) + BODY
    assert known.start_of_body(later)
    assert not known.start_of_body(ANSWER.replace(DATE, date) + BODY)
    assert known.date == LATER
    assert known.start_of_body(later)


def test_the_date_is_of_the_answer_that_was_recognised_last() -> None:
    """Not of one that was not, however good its date is."""
    known = KnownHead(ANSWER, dated=True)
    assert known.start_of_body(ANSWER + BODY)
    assert known.date == DATE
    later = ANSWER.replace(DATE, LATER)
    assert not known.start_of_body(later.replace(b"text", b"tent") + BODY)
    assert known.date == DATE
    assert not known.start_of_body(later + BODY + b"x")
    assert known.date == DATE
    assert known.start_of_body(later + BODY)
    assert known.date == LATER


def test_a_date_that_may_not_differ_is_part_of_the_head() -> None:
    """In requests; there is none to tell of then."""
    dated = REQUEST.replace(b"X-A: 1", b"Date: " + DATE)
    known = KnownHead(dated)
    assert known.start_of_body(dated + BODY)
    assert not known.start_of_body(dated.replace(DATE, LATER) + BODY)
    assert known.date == b""


def test_names_that_end_alike_are_other_fields() -> None:
    """X-Content-Length and Last-Date are literal, and so is what a value holds."""
    odd = ANSWER.replace(b"Content-Type", b"X-Content-Length: 7\r\nX-Date: x\r\nX-A: Date: Content-Length: 3\r\nX-Type")
    known = KnownHead(odd, dated=True)
    assert known.start_of_body(odd + BODY) == len(odd)
    assert not known.start_of_body(odd.replace(b"h: 7", b"h: 8") + BODY)
    assert not known.start_of_body(odd.replace(b"h: 3", b"h: 5") + BODY)


UNKNOWABLE = {
    "no length": (REQUEST.replace(b"Content-Length", b"X-Length"), False),
    "two lengths": (REQUEST.replace(b"X-A: 1", b"content-length: 5"), False),
    "no date": (REQUEST, True),
    "two dates": (ANSWER.replace(END, b"\r\ndate: " + DATE + END), True),
    "two lengths and no date": (REQUEST.replace(b"X-A: 1", b"content-length: 5"), True),
    "two dates and no length": (ANSWER.replace(b"Content-Length: 5", b"Date: " + DATE), True),
    "a date of another form": (ANSWER.replace(DATE, b"today"), True),
    "an empty date": (ANSWER.replace(DATE, b""), True),
    "a length on a line with another end": (REQUEST.replace(b"\r\nContent", b"\nContent"), False),
    "a bare LF": (ANSWER.replace(b"plain\r\n", b"plain\r\nX-A: 1\n"), True),
    "an empty line with another end": (ANSWER.replace(END, b"\n\nAB\r\n\r\n"), True),
    "a bare CR": (REQUEST.replace(b"X-A: 1", b"X-A: \r1"), False),
    "a folded line": (ANSWER.replace(b"plain", b"plain\r\n more"), True),
    "a length on a folded line": (ANSWER.replace(b": 5", b":\r\n 5"), True),
    "no end": (REQUEST.removesuffix(b"\r\n"), False),
    "more than a head": (REQUEST + BODY, False),
    "two heads": (REQUEST + PROBE[False], False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize(("head", "dated"), UNKNOWABLE.values(), ids=UNKNOWABLE.keys())
def test_a_head_that_cannot_be_known(head: bytes, dated: bool) -> None:
    """One of each field that may differ must be there, and no line whose end others could see elsewhere."""
    with pytest.raises(ValueError, match="not"):
        KnownHead(head, dated=dated)

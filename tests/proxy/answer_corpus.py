"""Malformed and ambiguous answers of a server, byte for byte, and what a client must get for each."""

import gzip
from dataclasses import dataclass, field

OK = 200
BROKEN = 0
"""Stands for an answer that begins and is then cut, so that the client sees that it has not got it whole."""
MALFORMED = 502
LATE = 503


@dataclass(frozen=True)
class Entry:
    """An answer.

    Attributes:
        name: What is wrong with it.
        sent: Its bytes.
        status: What the client gets.
        early: What it gets where the proxy has seen a whole answer before the fault.
        body: The body of an answer that is passed on.
        method: Of the client's request, which is for a download, or for the API if it is POST.
        closes: Whether the server closes afterwards; otherwise it waits for the next request.
        absent: What must not be in the head that the client gets, lower case.
        present: What must be in it.
    """

    name: str
    sent: bytes = field(repr=False)
    status: int = MALFORMED
    early: int = BROKEN
    body: bytes = field(default=b"", repr=False)
    method: str = "GET"
    closes: bool = False
    absent: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()


def _answer(fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return line + b"\r\n" + fields + b"\r\n" + body


def _chunked(chunks: bytes) -> bytes:
    return _answer(b"Transfer-Encoding: chunked\r\n", chunks)


FIVE = b"Content-Length: 5\r\n"
HELLO = _answer(FIVE, b"hello")
POISON = _answer(b"Content-Length: 6\r\n", b"poison")
BOMB = gzip.compress(bytes(1 << 20), 9, mtime=0)

LINE = [
    Entry("garbage", b"garbage\r\n\r\n"),
    Entry("HTTP/0.9", b"<html>hello</html>", closes=True),
    Entry("HTTP/2.0", _answer(FIVE, b"hello", b"HTTP/2.0 200 OK")),
    Entry("HTTP/3.0", _answer(FIVE, b"hello", b"HTTP/3.0 200 OK")),
    Entry("another protocol", b"220 mail.example ESMTP\r\n"),
    Entry("TLS", b"\x15\x03\x01\x00\x02\x02\x28", closes=True),
    Entry("status 99", _answer(FIVE, b"hello", b"HTTP/1.1 99 x")),
    Entry("status 099", _answer(FIVE, b"hello", b"HTTP/1.1 099 x")),
    Entry("status 000", _answer(FIVE, b"hello", b"HTTP/1.1 000 x")),
    Entry("status 600", _answer(FIVE, b"hello", b"HTTP/1.1 600 x")),
    Entry("status 999", _answer(FIVE, b"hello", b"HTTP/1.1 999 x")),
    Entry("status 1000", _answer(FIVE, b"hello", b"HTTP/1.1 1000 x")),
    Entry("status -200", _answer(FIVE, b"hello", b"HTTP/1.1 -200 x")),
    Entry("status of letters", _answer(FIVE, b"hello", b"HTTP/1.1 OK x")),
    Entry("no reason", _answer(FIVE, b"hello", b"HTTP/1.1 200"), OK, body=b"hello"),
    Entry("a field in the reason", _answer(FIVE, b"hello", b"HTTP/1.1 200 OK\rSet-Cookie: evil=1")),
    Entry("a control character in the reason", _answer(FIVE, b"hello", b"HTTP/1.1 200 O\x01K")),
    Entry("bytes in the reason", _answer(FIVE, b"hello", b"HTTP/1.1 200 caf\xe9"), OK, body=b"hello"),
    Entry("a very long reason", _answer(FIVE, b"hello", b"HTTP/1.1 200 " + b"a" * 100_000)),
]

PROVISIONAL = [
    Entry("101 unasked", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\nevil"),
    Entry("100 unasked", b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, OK, body=b"hello"),
    Entry(
        "103 with fields",
        b"HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\nSet-Cookie: evil=1\r\n\r\n" + HELLO,
        OK,
        body=b"hello",
        absent=(b"evil",),
    ),
    Entry(
        "many of 100, 102 and 103",
        b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 x\r\n\r\n" * 20 + HELLO,
        OK,
        body=b"hello",
    ),
    Entry(
        "a flood of 100, 102 and 103",
        b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 103 x\r\n\r\n" * 1000 + HELLO,
        closes=True,
    ),
    Entry("102 and then nothing", b"HTTP/1.1 102 Processing\r\n\r\n", LATE),
    Entry("102 and the end", b"HTTP/1.1 102 Processing\r\n\r\n", closes=True),
    Entry("100 with a length", b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello" + HELLO),
]

FIELDS = [
    Entry("100 kB of one field", _answer(b"X: " + b"a" * 100_000 + b"\r\n" + FIVE, b"hello")),
    Entry("10,000 fields", _answer(b"X: a\r\n" * 10_000 + FIVE, b"hello")),
    Entry("a NUL", _answer(b"X: a\0b\r\n" + FIVE, b"hello")),
    Entry("a control character", _answer(b"X: a\x01b\r\n" + FIVE, b"hello")),
    Entry("DEL", _answer(b"X: a\x7fb\r\n" + FIVE, b"hello")),
    Entry("a bare carriage return", _answer(b"X: a\rSet-Cookie: evil=1\r\n" + FIVE, b"hello")),
    Entry("a folded line", _answer(b"X: a\r\n b\r\n" + FIVE, b"hello"), OK, body=b"hello"),
    Entry("a NUL in a name", _answer(b"X\0: a\r\n" + FIVE, b"hello")),
    Entry("a space in a name", _answer(b"X Y: a\r\n" + FIVE, b"hello")),
    Entry("a space before the colon", _answer(b"X : a\r\n" + FIVE, b"hello")),
    Entry("no colon", _answer(b"X\r\n" + FIVE, b"hello")),
    Entry("bare line feeds", HELLO.replace(b"\r\n", b"\n"), OK, body=b"hello"),
    Entry(
        "ISO 8859-1",
        _answer(b'Content-Disposition: attachment; filename="caf\xe9.pdf"\r\n' + FIVE, b"hello"),
        OK,
        body=b"hello",
        present=(b'Content-Disposition: attachment; filename="caf\xe9.pdf"\r\n',),
    ),
    Entry(
        "UTF-8",
        _answer('Content-Disposition: attachment; filename="café.pdf"\r\n'.encode() + FIVE, b"hello"),
        OK,
        body=b"hello",
        present=('filename="café.pdf"'.encode(),),
    ),
    Entry(
        "UTF-8 and ISO 8859-1",
        _answer("X: é€".encode() + b"\xff\r\n" + FIVE, b"hello"),
        OK,
        body=b"hello",
        present=("X: é€".encode() + b"\xff\r\n",),
    ),
    Entry(
        "cookies and orders to browsers",
        _answer(b'Set-Cookie: evil=1\r\nStrict-Transport-Security: max-age=9\r\nAlt-Svc: h2=":1"\r\n' + FIVE, b"hello"),
        OK,
        body=b"hello",
        absent=(b"set-cookie", b"strict-transport", b"alt-svc"),
    ),
    Entry(
        "an absurd Retry-After", _answer(b"Retry-After: 99999999999999999999\r\n" + FIVE, b"hello"), OK, body=b"hello"
    ),
]

LENGTH = [
    Entry("a length and chunks", _answer(FIVE + b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n")),
    Entry("chunks and a length", _answer(b"Transfer-Encoding: chunked\r\n" + FIVE, b"2\r\nok\r\n0\r\n\r\n")),
    Entry("two lengths", _answer(FIVE + b"Content-Length: 6\r\n", b"hello!")),
    Entry("two equal lengths", _answer(FIVE + FIVE, b"hello")),
    Entry("a list of lengths", _answer(b"Content-Length: 5, 5\r\n", b"hello")),
    Entry("+5", _answer(b"Content-Length: +5\r\n", b"hello")),
    Entry("-5", _answer(b"Content-Length: -5\r\n", b"hello")),
    Entry("0x5", _answer(b"Content-Length: 0x5\r\n", b"hello")),
    Entry("a length of 2^64", _answer(b"Content-Length: 18446744073709551616\r\n", b"hello")),
    Entry("an empty length", _answer(b"Content-Length:\r\n", b"hello"), closes=True),
    Entry("less than the length", _answer(FIVE, b"hel"), closes=True),
    Entry("much less than the length", _answer(b"Content-Length: 100000\r\n", b"hello"), BROKEN, closes=True),
    Entry("more than the length", _answer(FIVE, b"hello, world"), early=OK),
    Entry("a second answer", HELLO + POISON, OK, body=b"hello"),
    Entry("a second answer behind chunks", _chunked(b"5\r\nhello\r\n0\r\n\r\n" + POISON), OK, body=b"hello"),
    Entry("204 with a body", _answer(FIVE, b"hello", b"HTTP/1.1 204 No Content"), early=204),
    Entry("204 with an answer as its body", _answer(b"", POISON, b"HTTP/1.1 204 No Content"), 204),
    Entry("304 with a length", _answer(FIVE, b"", b"HTTP/1.1 304 Not Modified"), 304),
    Entry("304 with a body", _answer(FIVE, b"hello", b"HTTP/1.1 304 Not Modified"), early=304),
    Entry("HEAD with a body", HELLO, method="HEAD", early=OK),
    Entry(
        "HEAD with an answer as its body",
        _answer(b"Content-Length: %d\r\n" % len(POISON), POISON),
        method="HEAD",
        early=OK,
    ),
    Entry("HEAD with chunks", _chunked(b"5\r\nhello\r\n0\r\n\r\n"), method="HEAD", early=OK),
    Entry("no length", _answer(b"", b"hello"), OK, body=b"hello", closes=True),
]

CODING = [
    Entry("gzip, chunked", _answer(b"Transfer-Encoding: gzip, chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")),
    Entry("gzip", _answer(b"Transfer-Encoding: gzip\r\n", b"hello"), closes=True),
    Entry("xchunked", _answer(b"Transfer-Encoding: xchunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"), closes=True),
    Entry("chunked twice", _answer(b"Transfer-Encoding: chunked\r\n" * 2, b"5\r\nhello\r\n0\r\n\r\n")),
    Entry("identity", _answer(b"Transfer-Encoding: identity\r\n", b"hello"), closes=True),
    Entry("a chunk's size is no number", _chunked(b"5\r\nhello\r\nxyz\r\n")),
    Entry("a chunk's size is negative", _chunked(b"-5\r\nhello\r\n0\r\n\r\n")),
    Entry("a chunk's size is huge", _chunked(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    Entry("no line end behind a chunk", _chunked(b"5\r\nhello0\r\n\r\n")),
    Entry("a broken chunk after a while", _chunked(b"10000\r\n" + b"a" * 65536 + b"\r\n" + b"xyz\r\n")),
    Entry("the chunks end early", _chunked(b"5\r\nhello\r\n"), BROKEN, closes=True),
    Entry("trailers", _chunked(b"5\r\nhello\r\n0\r\nSet-Cookie: evil=1\r\n\r\n"), OK, body=b"hello", absent=(b"evil",)),
    Entry("a bomb", _answer(b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(BOMB), BOMB), OK, body=BOMB),
]

END = [
    Entry("no answer", b"", closes=True),
    Entry("half a status line", b"HTTP/1.1 2", closes=True),
    Entry("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", closes=True),
    Entry("a head without its end", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", closes=True),
    Entry("half a head and then nothing", b"HTTP/1.1 200 OK\r\nContent-Le", LATE),
    Entry("no answer to a POST", b"", method="POST", closes=True),
    Entry("garbage to a POST", b"garbage\r\n\r\n", method="POST"),
    Entry("a second answer to a POST", HELLO + POISON, OK, body=b"hello", method="POST"),
]

CORPUS = {
    f"{group}: {entry.name}": entry
    for group, entries in {
        "status line": LINE,
        "provisional": PROVISIONAL,
        "fields": FIELDS,
        "length": LENGTH,
        "transfer coding": CODING,
        "end": END,
    }.items()
    for entry in entries
}

"""Any bytes from the server: the client gets one clear answer or a broken connection, and the proxy goes on."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.live import FEWER, Live, live
from tests.fuzz.strategies import LARGE, changed, messages
from tests.proxy.answer_corpus import CORPUS
from tests.proxy.support import AUTH

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [2-5][0-9]{2} [\t -~\x80-\xff]*")
FIELD = re.compile(rb"[!#$%&'*+.^`|~0-9A-Za-z-]+: ?[\t -~\x80-\xff]*")
NEVER = (b"set-cookie:", b"alt-svc:", b"strict-transport-security:", b"www-authenticate:", b"evil.example")
CORPUS_BYTES = [entry.sent for entry in CORPUS.values() if len(entry.sent) < LARGE]
LINES = b"""HTTP/1.1 200 OK
HTTP/1.0 200 OK
HTTP/1.1 204 No Content
HTTP/1.1 304 Not Modified
HTTP/1.1 403 No
HTTP/1.1 307 Elsewhere
HTTP/1.1 101 Switching Protocols
HTTP/1.1 102 Processing
HTTP/1.1 999 Odd
HTTP/1.1 200
HTTP/1.1 20
HTTP/2 200
ICY 200 OK""".splitlines()
FIELDS = b"""Content-Length: 2
Content-Length: 3
Content-Length: -1
Transfer-Encoding: chunked
Transfer-Encoding: x
Location: https://evil.example/
Location: /up/A/
Set-Cookie: a=b
Alt-Svc: h2c
Connection: close
Connection: content-type
Content-Type: text/html
Content-Encoding: gzip
WWW-Authenticate: Basic
Upgrade: h2c
Refresh: 0
Strict-Transport-Security: max-age=1
Access-Control-Allow-Origin: *""".splitlines()
BODIES = [b"", b"ok", b"ok" * 100, b"2\r\nok\r\n0\r\n\r\n", b"2\r\nok\r\n", b"zz\r\n", b"okHTTP/1.1 200 OK\r\n\r\n"]
MESSAGES = messages(LINES, [], FIELDS, BODIES)


@dataclass
class Server:
    """Answers what it is told, and closes."""

    answer: bytes = GOOD

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: ([0-9]+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(self.answer)
        await writer.drain()


@pytest.fixture(scope="module")
def server() -> Server:
    """The server behind the proxy."""
    return Server()


@pytest.fixture(scope="module")
def running(server: Server) -> Iterator[Live]:
    """A proxy before it."""
    with live(server) as running:
        yield running


async def asked(running: Live, line: str) -> bytes:
    """All that is answered to a request."""
    body = b"{}" if line.startswith("POST") else b""
    lines = [
        line.replace("@@", running.prefix),
        "Host: localhost",
        AUTH,
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", running.proxy.port)
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


REQUESTS = st.sampled_from(["GET /@@/dl/A/B/n HTTP/1.1", "POST /@@/api/ HTTP/1.1", "HEAD /@@/dl/A/B/n HTTP/1.1"])


def _example(running: Live, server: Server, data: bytes, line: str) -> None:
    server.answer = data
    answer = running.run(asked(running, line))
    if answer:  # else the connection was cut
        head, _, _ = answer.partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        assert STATUS_LINE.fullmatch(first), answer
        assert all(FIELD.fullmatch(field) for field in fields), answer
        names = [field.partition(b":")[0].lower() for field in fields]
        assert len({b"content-length", b"transfer-encoding"} & set(names)) <= 1, answer
        assert names.count(b"content-length") <= 1, answer
        assert not any(never in head.lower() for never in NEVER), answer
    server.answer = GOOD
    assert b" 200 OK\r\n" in running.run(asked(running, "GET /@@/dl/A/B/n HTTP/1.1"))


@FEWER
@given(data=changed(CORPUS_BYTES), line=REQUESTS)
def test_a_changed_answer(running: Live, server: Server, data: bytes, line: str) -> None:
    """Answers of the corpus, with bytes put in, taken out and replaced."""
    _example(running, server, data, line)


@FEWER
@given(data=MESSAGES, line=REQUESTS)
def test_an_answer_of_odd_parts(running: Live, server: Server, data: bytes, line: str) -> None:
    """Sound parts that do not fit together."""
    _example(running, server, data, line)

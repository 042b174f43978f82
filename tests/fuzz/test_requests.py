"""Any bytes from a client: the server gets clear requests with the token or nothing, and the proxy goes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from tests.fuzz.live import FEWER, Live, live
from tests.fuzz.strategies import LARGE, changed, messages
from tests.proxy.request_corpus import CORPUS
from tests.proxy.support import AUTH
from tests.proxy.test_request_corpus import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM = ("/api/", "/up/", "/dl/", "/ev", "/.well-known/jmap")
"""What a request that reaches the server asks for."""
CORPUS_BYTES = [entry.sent for entry in CORPUS.values() if len(entry.sent) < LARGE]
LINES = b"""GET /@@/dl/A/B/n HTTP/1.1
POST /@@/api/ HTTP/1.1
POST /@@/up/A/ HTTP/1.1
HEAD /@@/dl/A/B/n HTTP/1.1
GET /.well-known/jmap HTTP/1.1
POST /@@/api/ HTTP/1.0
GET http://evil.example/ HTTP/1.1
GET /@@/ev HTTP/1.1
CONNECT evil.example:443 HTTP/1.1
PRI * HTTP/2.0
GET /@@/dl/%2e%2e/B/n HTTP/1.1
DELETE /@@/api/ HTTP/1.1""".splitlines()
FIELDS = b"""Host: localhost
Host: evil.example
Origin: https://evil.example
Content-Length: 2
Content-Length: 0
Content-Length: 7
Transfer-Encoding: chunked
Transfer-Encoding: gzip
Expect: 100-continue
Connection: keep-alive
Connection: close
Connection: upgrade
Upgrade: websocket
X-User: root
X_User: root
X-Forwarded-Host: evil.example
Cookie: a=b
Range: bytes=0-
TE: trailers""".splitlines()
BODIES = [
    b"",
    b"{}",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"{}GET /smuggled HTTP/1.1\r\n\r\n",
    b"ffffffffffffffff1\r\n",
]
MESSAGES = messages(LINES, [b"Host: localhost", AUTH.encode()], FIELDS, BODIES)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    """The server behind the proxy, which reads strictly."""
    return Recorder()


@pytest.fixture(scope="module")
def running(recorder: Recorder) -> Iterator[Live]:
    """A proxy before it."""
    with live(recorder) as running:
        yield running


async def sent(running: Live, data: bytes) -> bytes:
    """What is answered to these bytes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.proxy.port)
    answer = b""
    try:
        with suppress(ConnectionError):
            writer.write(data.replace(b"@@", running.prefix.encode()))
            writer.write_eof()
            answer = await reader.read()
    finally:
        writer.close()
    return answer


async def still_serves(running: Live) -> int:
    """The status of a good request."""
    async with running.proxy.request("POST", f"/{running.prefix}/api/", data=b"{}") as response:
        await response.read()
        return int(response.status)


def _example(running: Live, recorder: Recorder, data: bytes) -> None:
    recorder.heads.clear()
    answer = running.run(sent(running, data))
    assert answer == b"" or answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), answer
    assert recorder.faults == []
    for head in recorder.heads:
        path = head.split(b" ")[1].decode()
        assert path.startswith(ROOM), head
        assert b"\nX-User" not in head
        assert b"\nCookie" not in head
        assert b"evil.example" not in head.lower().split(b"\r\nhost: ")[1].split(b"\r\n")[0]
    assert running.run(still_serves(running)) == 200


@FEWER
@given(data=changed(CORPUS_BYTES))
def test_a_changed_request(running: Live, recorder: Recorder, data: bytes) -> None:
    """Requests of the corpus, with bytes put in, taken out and replaced."""
    _example(running, recorder, data)


@FEWER
@given(data=MESSAGES)
def test_a_request_of_odd_parts(running: Live, recorder: Recorder, data: bytes) -> None:
    """Sound parts that do not fit together."""
    _example(running, recorder, data)

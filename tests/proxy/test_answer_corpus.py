"""Malformed and ambiguous answers of a server: the client gets a clear one, and the next request its own."""

import asyncio
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.answer_corpus import BROKEN, CORPUS, LATE, Entry
from tests.proxy.support import AUTH, Proxy, proxy_to, raw_server, scripted

DOWNLOAD = "/dl/A/B/n?accept=x"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHORT = 0.3
"""Seconds for a first byte, where the server is to be given up."""


@dataclass
class Server:
    """A server that answers by an entry's bytes until it is told to answer well."""

    entry: Entry
    cuts: Sequence[float] = ()
    good: bool = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"\r\nContent-Length: ([0-9]+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            sent = GOOD if self.good else self.entry.sent
            at = sorted({0, len(sent), *(int(len(sent) * cut) for cut in self.cuts)})
            for start, end in itertools.pairwise(at):
                writer.write(sent[start:end])
                await writer.drain()
                for _ in range(3):
                    await asyncio.sleep(0)  # the proxy gets to read the piece by itself
            if self.entry.closes and not self.good:
                return


async def ask(proxy: Proxy, method: str, path: str) -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer; BROKEN where it is cut."""
    body = b"{}" if method == "POST" else b""
    reader, writer = await proxy.raw(
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        AUTH,
        "Connection: close",
        f"Content-Length: {len(body)}",
        body=body,
    )
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        rest = await reader.read()
    except (ConnectionError, asyncio.IncompleteReadError):
        return BROKEN, b"", b""
    finally:
        writer.close()
    status = int(head.split(b" ")[1])
    length = re.search(rb"\r\nContent-Length: ([0-9]+)", head)
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        rest, ended = _dechunked(rest)
        return (status if ended else BROKEN), head, rest
    whole = method == "HEAD" or length is None or len(rest) == int(length[1])
    return (status if whole or status == 304 else BROKEN), head, rest


def _dechunked(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            return body, data == b"\r\n"
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body, False


async def check(entry: Entry, cuts: Sequence[float] = ()) -> None:
    """See what a client gets for an entry, and that the requests which follow get their own answers."""
    server = Server(entry, cuts)
    first_byte = SHORT if entry.status == LATE else 4.0
    async with (
        raw_server(scripted(server)) as origin,
        proxy_to(f"{origin}/.well-known/jmap", first_byte=first_byte) as proxy,
        asyncio.timeout(10),
    ):
        session = await proxy.session()
        prefix = "/" + session["apiUrl"].split("/")[3]
        path = "/api/" if entry.method == "POST" else DOWNLOAD
        status, head, body = await ask(proxy, entry.method, prefix + path)
        assert status in ((entry.status, entry.early, BROKEN) if cuts else (entry.status,))
        if status in (502, 503):
            assert b"\r\nContent-Type: application/problem+json\r\n" in head
            assert entry.method == "HEAD" or json.loads(body)["status"] == status
        elif status == entry.status != BROKEN:
            assert body == entry.body
            assert all(word in head for word in entry.present)
        assert not any(word in head.lower() for word in entry.absent)
        server.good = True
        for _ in range(2):
            status, _, body = await ask(proxy, "GET", prefix + DOWNLOAD)
            assert (status, body) == (200, b"ok")


@pytest.mark.parametrize("name", CORPUS)
async def test_each_becomes_a_clear_answer(name: str) -> None:
    """The client gets what is listed, soon, and the requests that follow get their own answers."""
    await check(CORPUS[name])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    entry=st.sampled_from([entry for entry in CORPUS.values() if entry.status != LATE]),
    cuts=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
)
def test_pieces_are_no_worse(entry: Entry, cuts: list[float]) -> None:
    """However the bytes are cut: an answer whose fault comes late is cut in the middle, or was whole before."""
    asyncio.run(check(entry, cuts))


async def test_provisional_answers_without_end_are_given_up() -> None:
    """A server that sends nothing but 102 is cut off before its client would wait for one that sends nothing."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
            await writer.drain()

    async with (
        raw_server(scripted(flood)) as origin,
        proxy_to(f"{origin}/.well-known/jmap", first_byte=SHORT) as proxy,
        asyncio.timeout(10),
    ):
        prefix = "/" + (await proxy.session())["apiUrl"].split("/")[3]
        assert (await ask(proxy, "GET", prefix + DOWNLOAD))[0] == 502


def test_the_corpus_is_large_enough() -> None:
    """At least 20 kinds of faults."""
    assert len(CORPUS) >= 20

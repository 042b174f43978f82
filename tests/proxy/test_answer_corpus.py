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

from jmap_proxy.proxy.door.door import Door
from tests.proxy.answer_corpus import BROKEN, CORPUS, LATE, Entry
from tests.proxy.fast.ways import Client, answer
from tests.proxy.noting_lane import NotingLane
from tests.proxy.support import AUTH, KEY, Proxy, Tokens, proxy_to, raw_server, scripted

DOWNLOAD = "/dl/A/B/n?accept=x"
GOOD = answer()
ONE_READ = 60_000
"""Bytes that come in one piece also on a connection that has rested."""
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


def expect(entry: Entry, status: int, head: bytes, body: bytes, *, in_pieces: bool) -> None:
    """See that an answer is the one that a client must get."""
    assert status in ((entry.status, entry.early, BROKEN) if in_pieces else (entry.status,))
    if status in (502, 503):
        assert b"\r\nContent-Type: application/problem+json\r\n" in head
        assert entry.method == "HEAD" or json.loads(body)["status"] == status
    elif status == entry.status != BROKEN:
        assert body == entry.body
        assert all(word in head for word in entry.present)
    assert not any(word in head.lower() for word in entry.absent)


async def check_call(entry: Entry, cuts: Sequence[float] = ()) -> None:
    """See what comes of an entry as answer to an API call that goes the fast way, and of the calls behind it."""
    server, door = Server(entry, cuts, good=True), Door({KEY: "alice"}.get)
    async with (
        raw_server(scripted(server)) as origin,
        proxy_to(f"{origin}/.well-known/jmap", Tokens(at_once=True)) as proxy,
        asyncio.timeout(10),
    ):
        lane = NotingLane(proxy.handler.lane(door))
        proxy.listener.serve(proxy.handler.at(door), lane)
        path = "/" + (await proxy.session())["apiUrl"].split("/", 3)[3]
        call = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        client = Client(proxy.port)
        for number in range(3):
            assert _understood(await client.ask(call))[::2] == (200, b"ok")
            assert lane.begun == number
        server.good = False
        in_pieces = bool(cuts) or len(entry.sent) > ONE_READ
        expect(entry, *_understood(await client.ask(call)), in_pieces=in_pieces)
        assert lane.begun == 3
        server.good = True
        for _ in range(2):
            assert _understood(await client.ask(call))[::2] == (200, b"ok")
        client.leave()


def _understood(came: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of an answer that a `Client` has got."""
    head, _, body = came.removesuffix(b"(end)").partition(b"\r\n\r\n")
    return (BROKEN, b"", b"") if came.endswith(b"(cut)(end)") else (int(head.split(b" ")[1]), head + b"\r\n", body)


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
        expect(entry, status, head, body, in_pieces=bool(cuts))
        server.good = True
        for _ in range(2):
            status, _, body = await ask(proxy, "GET", prefix + DOWNLOAD)
            assert (status, body) == (200, b"ok")


@pytest.mark.parametrize("name", CORPUS)
async def test_each_becomes_a_clear_answer(name: str) -> None:
    """The client gets what is listed, soon, and the requests that follow get their own answers."""
    await check(CORPUS[name])


TO_CALLS = [name for name, entry in CORPUS.items() if entry.method != "HEAD" and entry.status != LATE]
"""Entries that can be the answer to an API call, for which the proxy does not wait for long."""


@pytest.mark.parametrize("name", TO_CALLS)
async def test_each_becomes_a_clear_answer_to_a_call(name: str) -> None:
    """As well where the call went the fast way."""
    await check_call(CORPUS[name])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(TO_CALLS),
    cuts=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
)
def test_pieces_are_no_worse_for_calls(name: str, cuts: list[float]) -> None:
    """As well where the call went the fast way."""
    asyncio.run(check_call(CORPUS[name], cuts))


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

"""Malformed and ambiguous requests: each gets its answer, and nothing ambiguous reaches the server."""

import asyncio
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.session.endpoint import local_prefix
from tests.proxy.fast.ways import answer
from tests.proxy.noting_lane import NotingLane
from tests.proxy.request_corpus import CORPUS, KEPT, SECOND, Entry
from tests.proxy.support import AUTH, KEY, Proxy, Tokens, proxy_to, raw_server, scripted

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LAST = f"GET /last HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\nConnection: close\r\n\r\n".encode()
"""Sent on connections that stay open: if they are in step, it gets its 404 and the connection ends."""

REQUEST_LINE = re.compile(rb"[A-Z]+ /[!-~]* HTTP/1\.1")
FIELD = re.compile(rb"([!#$%&'*+.^`|~0-9A-Za-z-]+): ([!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")


@dataclass
class Recorder:
    """A server that reads requests as strictly as can be; anything else fails the test that looks at `faults`."""

    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    faults: list[bytes] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes on a connection."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            framing = self._framing(head)
            body = await _chunks(reader) if framing == b"chunked" else await reader.readexactly(int(framing))
            self.heads.append(head)
            self.bodies.append(body)
            writer.write(answer())
            await writer.drain()

    def _framing(self, head: bytes) -> bytes:
        line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        matches = [FIELD.fullmatch(text) for text in lines]
        fields = [(match[1].lower(), match[2] or b"") for match in matches if match]
        counts = [name for name, _ in fields]
        framing = [value for name, value in fields if name in (b"content-length", b"transfer-encoding")]
        clear = (
            REQUEST_LINE.fullmatch(line)
            and all(matches)
            and counts.count(b"host") == 1
            and [value for name, value in fields if name == b"authorization"] == [b"Bearer good"]
            and len(framing) <= 1
            and all(value == b"chunked" or value.isdigit() for value in framing)
        )
        if not clear:
            self.faults.append(head)
        return framing[0] if framing else b"0"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).removesuffix(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2)).removesuffix(b"\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    return body


async def send(streams: Streams, sent: bytes, expected: int, cuts: Sequence[float] = ()) -> list[int]:
    """Send bytes, cut in pieces at these fractions of their length; the statuses of the answers."""
    reader, writer = streams
    at = sorted({0, len(sent), *(int(len(sent) * cut) for cut in cuts)})
    statuses: list[int] = []
    try:
        for start, end in itertools.pairwise(at):
            writer.write(sent[start:end])
            for _ in range(3):
                await asyncio.sleep(0)  # the proxy gets to read the piece by itself
        while (answer := await _answer(reader)) is not None:
            status, ends = answer
            statuses.append(status)
            if not ends and len(statuses) == expected:
                writer.write(LAST)
    except ConnectionError:
        pass  # closed while the rest was being sent
    finally:
        writer.close()
    return statuses


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool] | None:
    """Status of the next answer, and whether it says that it is the last; None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    length = re.search(rb"\r\nContent-Length: ([0-9]+)\r\n", head)
    assert length, head
    await reader.readexactly(int(length[1]))
    ends = b"HTTP/1.0" if b"\r\nConnection: keep-alive\r\n" not in head else b"none"
    return int(head.split(b" ")[1]), b"\r\nConnection: close\r\n" in head or head.startswith(ends)


async def warm_up(proxy: Proxy, streams: Streams, call: bytes) -> None:
    """Make calls on a connection until they go the fast way, and nothing about them or their answers is new."""
    door = Door({KEY: "alice", "orphan": "bob"}.get)
    lane = NotingLane(proxy.handler.lane(door))
    proxy.listener.serve(proxy.handler.at(door), lane)
    for _ in range(3):
        streams[1].write(call)
        assert await _answer(streams[0]) == (200, False)
    assert lane.begun >= 2


async def check(entry: Entry, cuts: Sequence[float] = (), *, warm: bool = False) -> None:
    """See what comes of an entry, and that the proxy serves a good request afterwards."""
    recorder, tokens = Recorder(), Tokens(at_once=warm)
    async with raw_server(scripted(recorder)) as server, proxy_to(f"{server}/.well-known/jmap", tokens) as proxy:
        api = await proxy.url("apiUrl")
        prefix = local_prefix(parse_origin(server)).encode()
        async with asyncio.timeout(20):
            streams = await asyncio.open_connection("127.0.0.1", proxy.port)
            if warm:
                await warm_up(proxy, streams, SECOND.replace(b"@@", prefix))
                recorder.heads.clear()
                recorder.bodies.clear()
            statuses = await send(streams, entry.sent.replace(b"@@", prefix), len(entry.statuses), cuts)
        assert statuses in ([*entry.statuses], [*entry.statuses, KEPT])
        assert recorder.faults == []
        assert recorder.bodies == [*entry.upstream]
        assert not any(word in head.lower() for word in entry.absent for head in recorder.heads)
        assert all(word in head for word in entry.present for head in recorder.heads)
        async with proxy.request("POST", api, data=b"{}") as response:
            assert response.status == 200


@pytest.mark.parametrize("name", CORPUS)
async def test_each_gets_its_answer(name: str) -> None:
    """The status is the right one, the server gets nothing or clear requests only, and the proxy goes on."""
    await check(CORPUS[name])


@pytest.mark.parametrize("name", CORPUS)
async def test_each_gets_its_answer_behind_good_calls(name: str) -> None:
    """As well on a connection on which calls go the fast way."""
    await check(CORPUS[name], warm=True)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    entry=st.sampled_from([entry for entry in CORPUS.values() if not entry.whole]),
    cuts=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
    warm=st.booleans(),
)
def test_pieces_make_no_difference(entry: Entry, cuts: list[float], *, warm: bool) -> None:
    """However the bytes are cut on their way, the same comes of them."""
    asyncio.run(check(entry, cuts, warm=warm))


def test_the_corpus_is_large_enough() -> None:
    """At least 60 kinds of faults."""
    assert len(CORPUS) >= 60

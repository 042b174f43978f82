"""A script of exchanges, run through a proxy with a fast way and through one without: all that can be seen of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import socket
import struct
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from jmap_proxy.proxy.door.door import Door
from tests.proxy.noting_lane import NotingLane
from tests.proxy.support import AUTH, KEY, SESSION, Proxy, Tokens, proxy_to, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from jmap_proxy.errors import JmapProxyError
    from jmap_proxy.proxy.forwarding import Plane

    Step = Callable[["World"], Awaitable[None]]

TIME_LIMIT = 20
WELL_KNOWN = "/.well-known/jmap"
DATE = b"Date: Sun, 01 Dec 2019 10:00:00 GMT\r\n"
LATER = b"Date: Mon, 02 Dec 2019 23:59:59 GMT\r\n"
TYPE = b"Content-Type: application/json\r\n"
STAYS, CLOSES, RESETS = "stays", "closes", "resets"
LAST = f"GET /last HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\nConnection: close\r\n\r\n".encode()
"""Sent in the end: if its connection is in step, it gets its 404, and the connection ends."""

_PASSING = (
    (re.compile(rb"(127\.0\.0\.1|localhost):[0-9]+"), b"\\1:PORT"),
    (re.compile(rb"urn:jmap-proxy:request:[^\"]+"), b"urn:jmap-proxy:request:ID"),
    (re.compile(rb"\r\nDate: [^\r\n]*(?<! 2019 \d\d:\d\d:\d\d GMT)(?=\r\n)"), b"\r\nDate: NOW"),
)
"""What is another one each time; the scripts' own dates are of 2019."""


@dataclass(frozen=True)
class Reply:
    """What a server answers to a request.

    Attributes:
        pieces: Its bytes; the proxy gets to read each piece by itself.
        then: Whether the connection stays, closes or is reset.
        held: Whether the last piece is kept until the server's `release` is set.
        early: Whether it comes before the request's body is read.
    """

    pieces: tuple[bytes, ...] = field(repr=False)
    then: str = STAYS
    held: bool = False
    early: bool = False


def answer(body: bytes = b"ok", fields: bytes = TYPE + DATE, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """An answer of one piece."""
    return line + b"\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


GOOD = Reply((answer(),))


async def settle() -> None:
    """Let both sides of each connection read what is on its way."""
    for _ in range(12):
        await asyncio.sleep(0)


@dataclass
class Server:
    """Gives a script's replies, one after the other over all connections; afterwards good ones. Notes what it gets."""

    replies: list[Reply] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=lambda: SESSION)
    got: list[tuple[int, bytes]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    resting: dict[int, asyncio.StreamWriter] = field(default_factory=dict)
    connections: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes on a connection."""
        self.connections += 1
        number = self.connections
        try:
            while await self._answer_next(number, reader, writer):
                pass
        finally:
            self.resting.pop(number, None)

    async def _answer_next(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        if WELL_KNOWN.encode() in head.split(b"\r\n")[0]:
            body = json.dumps(self.session).encode()
            writer.write(answer(body, TYPE))
            return True
        reply = self.replies.pop(0) if self.replies else GOOD
        if not reply.early:
            self.got.append((number, head + await _read_body(reader, head)))
        self.asked.set()
        *pieces, last = reply.pieces or (b"",)
        for piece in pieces:
            await _say(writer, piece)
        if reply.held:
            await self.release.wait()
        await _say(writer, last)
        self.resting[number] = writer
        if reply.early:
            self.got.append((number, head + await _read_body(reader, head)))
        if reply.then == RESETS:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        return reply.then == STAYS


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        return await reader.readuntil(b"\r\n0\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: ([0-9]+)\r\n", head)
    return await reader.readexactly(int(length[1]) if length else 0)


async def _say(writer: asyncio.StreamWriter, piece: bytes) -> None:
    writer.write(piece)
    await writer.drain()
    await settle()


@dataclass
class Client:
    """A client's connection, made anew when it has ended. Notes what comes."""

    port: int
    got: list[bytes] = field(default_factory=list)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, *pieces: bytes) -> None:
        """Send bytes; the proxy gets to read each piece by itself."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
            self.got.append(b"(new connection)")
        for piece in pieces:
            self._streams[1].write(piece)
            await settle()

    async def receive(self) -> bytes:
        """The next answer; noted."""
        assert self._streams is not None
        reader, came = self._streams[0], bytearray()
        try:
            ended = await _read_answer(reader, came)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            came += getattr(error, "partial", b"") + b"(cut)"
            ended = True
        await settle()
        if ended or reader.at_eof():
            came += b"(end)"
            self.leave()
        self.got.append(bytes(came))
        return bytes(came)

    async def ask(self, *pieces: bytes) -> bytes:
        """Send a request and wait for its answer."""
        await self.send(*pieces)
        return await self.receive()

    async def say_no_more(self) -> None:
        """Close one side of the connection."""
        assert self._streams is not None
        self._streams[1].write_eof()
        await settle()

    @property
    def is_open(self) -> bool:
        """Whether a connection has not ended."""
        return self._streams is not None

    def leave(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read_answer(reader: asyncio.StreamReader, came: bytearray) -> bool:
    """Read one answer, chunks as one body; whether the connection has ended with it."""
    head = await reader.readuntil(b"\r\n\r\n")
    came += head
    if head.startswith(b"HTTP/1.1 1"):
        return await _read_answer(reader, came)
    length = re.search(rb"\r\nContent-Length: ([0-9]+)\r\n", head)
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            came += (await reader.readexactly(size + 2)).removesuffix(b"\r\n")
        await reader.readexactly(2)
    elif length:
        came += await reader.readexactly(int(length[1]))
    elif not re.match(rb"HTTP/1.1 (204|304)", head):
        came += await reader.read()
        return True
    if b"\r\nConnection: close\r\n" in head:
        assert await reader.read() == b""
        return True
    return False


class Told:
    """An observer: what it is told, but for the time."""

    def __init__(self) -> None:
        self.all: list[dict[str, str]] = []

    def answered(self, kind: str, status: int, _seconds: float) -> None:
        """See `Observer`."""
        self.all.append({"kind": kind, "status": str(status)})

    def failed(self, account: str, error: JmapProxyError, request_id: str) -> None:
        """See `Observer`; without the id, but that there is one counts."""
        self.all.append({"account": account, "code": error.code, "detail": error.detail, "id": str(bool(request_id))})


@dataclass
class World:
    """What a script meets.

    Attributes:
        keys: Accounts by local key; the door's.
        plane: Of alice's account, as it was at first.
        lane: The listener's, None for no fast way.
        fields: Of the calls.
        is_over: Whether the listener is closed.
    """

    proxy: Proxy
    server: Server
    client: Client
    keys: dict[str, str]
    told: Told
    api: str
    fields: str
    plane: Plane
    lane: NotingLane | None = None
    is_over: bool = False

    def call(self, body: bytes = b"{}", *, fields: str | None = None, length: str = "") -> bytes:
        """The bytes of an API call."""
        lines = [f"POST {self.api} HTTP/1.1", "Host: localhost", self.fields if fields is None else fields]
        lines.append(f"Content-Length: {length or len(body)}")
        return "\r\n".join([line for line in lines if line] + ["", ""]).encode("utf-8", "surrogateescape") + body

    def serve(self, door: Door) -> None:
        """Let the listener serve by a door, in the way that it has."""
        if self.lane is not None:
            self.lane = NotingLane(self.proxy.handler.lane(door))
        self.proxy.listener.serve(self.proxy.handler.at(door), self.lane)

    async def warm_up(self, calls: int) -> None:
        """So many calls as all are; the last one goes the fast way, if there is one."""
        begun = 0
        for number in range(calls):
            begun = self.begun
            assert (await self.client.ask(self.call(b"w" * (number + 1)))).startswith(b"HTTP/1.1 200 OK\r\n")
        assert self.lane is None or self.begun == begun + 1

    @property
    def begun(self) -> int:
        """How many calls have gone the fast way."""
        return 0 if self.lane is None else self.lane.begun


@dataclass(frozen=True)
class Seen:
    """What a script leaves behind, wherever it can be seen."""

    by_server: list[tuple[int, bytes]]
    by_client: list[bytes]
    told: list[dict[str, str]]
    logged: list[dict[str, str]]
    asked_of_source: list[str]


@asynccontextmanager
async def world(
    *,
    fast: bool,
    tokens: Tokens | None = None,
    door: Callable[[dict[str, str]], Door] = lambda keys: Door(keys.get),
    fields: str = AUTH,
    **settings: Any,
) -> AsyncIterator[World]:
    """A proxy in front of a server with a script; in the end, nothing of what went through it may be left."""
    server, told, keys = Server(), Told(), {KEY: "alice", "orphan": "bob"}
    async with (
        asyncio.timeout(TIME_LIMIT),
        raw_server(server) as origin,
        proxy_to(
            f"{origin}{WELL_KNOWN}",
            tokens or Tokens("good", "better", at_once=True),
            observer=told,
            patience=2 * TIME_LIMIT,
            **settings,
        ) as proxy,
    ):
        api = "/" + (await proxy.session())["apiUrl"].split("/", 3)[3]
        client = Client(proxy.port)
        world = World(proxy, server, client, keys, told, api, fields, proxy.planes["alice"])
        if fast:
            world.lane = NotingLane(proxy.handler.lane(Door(keys.get)))
        world.serve(door(keys))
        try:
            yield world
        finally:
            client.leave()
            server.release.set()
        await nothing_left(proxy, [world.plane, *proxy.planes.values()])


async def nothing_left(proxy: Proxy, planes: list[Plane]) -> None:
    """See that no call is on its way, no connection to the server is in use, and the listener can end by itself."""
    for plane in planes:
        await plane.uses.over()
    connector = proxy.http.connector
    assert connector is not None
    await settle()
    assert not connector._acquired
    await proxy.listener.close()


@contextmanager
def logged() -> Iterator[list[Mapping[str, Any]]]:
    """The log lines from info on, those of libraries too. A script may change the level of the area `proxy`."""
    libraries = logging.getLogger()
    lines: list[Mapping[str, Any]] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append({"library": record.name, "text": record.getMessage()})  # type: ignore[method-assign]
    with ExitStack() as stack:
        libraries.addHandler(handler)
        stack.callback(libraries.removeHandler, handler)
        for name, level in (("http", logging.INFO), ("proxy", logging.NOTSET)):
            area = logging.getLogger(f"jmap_proxy.{name}")
            stack.callback(area.setLevel, area.level)
            area.setLevel(level)
        own = stack.enter_context(capture_logs())
        yield lines
        lines += [line for line in own if line["log_level"] != "debug"]


async def see(steps: Step, *, fast: bool, **settings: Any) -> Seen:
    """Run a script; what was seen of it."""
    with logged() as lines:
        async with world(fast=fast, **settings) as met:
            await steps(met)
            if not met.is_over:
                await met.client.ask(LAST)
    prefix = met.api.split("/")[1].encode()

    def lasting(data: bytes) -> bytes:
        for pattern, instead in _PASSING:
            data = pattern.sub(instead, data)
        return data.replace(prefix, b"PREFIX")

    def line(values: Mapping[str, object]) -> dict[str, str]:
        return {name: lasting(str(value).encode()).decode() for name, value in values.items()}

    return Seen(
        [(number, lasting(data)) for number, data in met.server.got],
        [lasting(data) for data in met.client.got],
        [line(each) for each in met.told.all],
        [line(each) for each in lines],
        [call for call in met.proxy.tokens.calls if call != "ensure"],
    )


async def see_both(steps: Step, **settings: Any) -> Seen:
    """Run a script both ways; what was seen, which must be the same."""
    tokens = settings.pop("tokens", lambda: None)
    fast, ordinary = [await see(steps, fast=fast, tokens=tokens(), **settings) for fast in (True, False)]
    assert fast == ordinary, _first_difference(fast, ordinary)
    return fast


def _first_difference(fast: Seen, ordinary: Seen) -> str:
    for each in fields(Seen):
        for one, other in itertools.zip_longest(getattr(fast, each.name), getattr(ordinary, each.name)):
            if one != other:
                return f"{each.name}: {str(one)[:2000]} in the fast way, {str(other)[:2000]} in the ordinary one"
    return "none"

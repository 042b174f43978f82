"""A proxy that notes which way each API call goes, the server behind it, and clients that send byte by byte."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.door.door import Door
from tests.proxy.listener.hosting import answer
from tests.proxy.noting_lane import NotingLane
from tests.proxy.support import AUTH, KEY, SESSION, Proxy, Tokens, proxy_to, raw_server, scripted

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from aiohttp import web

    from jmap_proxy.proxy.fast.lane import Lane
    from jmap_proxy.proxy.listener.fast_connection import FastConnection

ORDINARY = "ordinary"
TIME_LIMIT = 20
WAIT = b"wait"
HALVES = b"halves"
LEAVE = b"leave"
FAIL = b"fail"
LARGE = {**SESSION, "capabilities": {"urn:ietf:params:jmap:core": {"maxSizeRequest": 10_000_000}}}
"""A Session of a server that takes large calls."""

PLAIN = b"Date: Sat, 28 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"


@dataclass
class Server:
    """Answers one API call after the other with its own body; what that begins with, or `FAIL` in it, asks for more."""

    calls: list[bytes] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    padding: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a raw server."""
        self.connections += 1
        while True:
            body = await _read_call(reader)
            self.calls.append(body)
            status = b"500 No" if FAIL in body else b"200 OK"
            shown = body + bytes(self.padding)
            data = b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, PLAIN, len(shown), shown)
            if body.startswith(LEAVE):
                return
            if body.startswith(HALVES):
                writer.write(data[:-1])
                data = data[-1:]
            if body.startswith((WAIT, HALVES)):
                self.entered.set()
                await self._wait(reader)
            writer.write(data)
            await writer.drain()

    async def _wait(self, reader: asyncio.StreamReader) -> None:
        leaving, going = asyncio.create_task(reader.read(1)), asyncio.create_task(self.go.wait())
        await asyncio.wait({leaving, going}, return_when=asyncio.FIRST_COMPLETED)
        going.cancel()
        if leaving.done():
            self.left.set()
            raise ConnectionResetError
        leaving.cancel()
        await asyncio.wait({leaving})


async def _read_call(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" not in head:
        return await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


@dataclass
class Caller:
    """A client's connection."""

    path: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def request(self, body: bytes, *fields: str, path: str = "") -> bytes:
        """An API call, byte for byte, or another request with a body."""
        lines = [f"POST {path or self.path} HTTP/1.1", "Host: localhost", AUTH, *fields, f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def send(self, *bodies: bytes) -> None:
        """Send calls in one piece."""
        self.writer.write(b"".join(map(self.request, bodies)))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer."""
        return await answer(self.reader)

    async def body(self) -> bytes:
        """The body of the next answer, which must be a good one that leaves the connection open."""
        status, fields, body = await self.answer()
        assert (status, fields.get("Connection")) == (200, None)
        return body

    async def call(self, body: bytes) -> bytes:
        """Send a call; the body of its answer."""
        self.send(body)
        return await self.body()

    async def in_step(self) -> None:
        """Call until a call can go fast: the first one on a connection to the server never does."""
        assert await self.call(b"first") == b"first"

    async def is_ended(self) -> bool:
        """Whether nothing more comes."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@dataclass
class Place:
    """A proxy in front of a server, and the ways that the calls have gone."""

    proxy: Proxy
    server: Server
    session: dict[str, Any]
    ways: list[str] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    door: Door = field(default_factory=lambda: Door({KEY: "alice"}.get))

    def __post_init__(self) -> None:
        self.serve(self.lane())

    def lane(self) -> NotingLane:
        """One that notes."""
        return NotingLane(self.proxy.handler.lane(self.door), self.ways)

    def serve(self, lane: Lane | None) -> None:
        """Let the listener use a lane; what goes the ordinary way from the start is noted as well."""

        async def ordinary(request: web.BaseRequest) -> web.StreamResponse:
            self.ways.append(ORDINARY)
            return await self.proxy.handler.answer(self.door, request)

        self.proxy.listener.serve(ordinary, lane)

    def path(self, member: str = "apiUrl") -> str:
        """Of a URL of the Session, as the client sees it."""
        url: str = self.session[member]
        return "/" + url.replace("{accountId}", "A").split("/", 3)[3]

    async def connect(self, path: str | None = None, tls: ssl.SSLContext | None = None) -> Caller:
        """A new client, by the port or by a Unix socket."""
        if path is None:
            streams = await asyncio.open_connection("127.0.0.1", self.proxy.port, ssl=tls)
        else:
            streams = await asyncio.open_unix_connection(path)
        caller = Caller(self.path(), *streams)
        self.callers.append(caller)
        return caller

    def connection(self) -> FastConnection:
        """The listener's side of the only connection."""
        (connection,) = self.connections()
        return connection

    def connections(self) -> list[FastConnection]:
        """The listener's side of each."""
        return cast("list[FastConnection]", self.proxy.listener._server.connections)


@asynccontextmanager
async def placed(session: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Place]:
    """A proxy with these settings, in front of a server with this Session."""
    server = Server()
    async with (
        asyncio.timeout(TIME_LIMIT),
        raw_server(scripted(server.serve, session)) as origin,
        proxy_to(f"{origin}/.well-known/jmap", Tokens(at_once=True), **settings) as proxy,
    ):
        known = await proxy.sessions.known()
        place = Place(proxy, server, json.loads(known.shown_at(parse_origin("http://localhost"))))
        try:
            yield place
        finally:
            for caller in place.callers:
                caller.writer.close()


async def until(is_so: Any) -> None:
    """Let the loop go on until something is so; `placed` sets the limit."""
    while not is_so():  # noqa: ASYNC110 - what it is about has no event
        await asyncio.sleep(0)


async def nothing_is_left(place: Place) -> None:
    """No call is on its way, neither for the listener nor for the account."""
    await place.proxy.listener._server.crossings.over()
    (plane,) = place.proxy.handler._planes.values()
    await plane.uses.over()

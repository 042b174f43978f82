"""A server that follows a script, connection by connection, and requests to it by a `Sender`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp

from jmap_proxy.proxy.upstream.body import BufferedBody
from jmap_proxy.proxy.upstream.sender import Answer, Sender
from tests.proxy.support import raw_server

TIMES = aiohttp.ClientTimeout(total=None, connect=5, sock_read=5)
IMPATIENT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=0.05)
TIME_LIMIT = 10
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAULTS = (aiohttp.ClientError, TimeoutError, OSError)
Script = Callable[["Peer"], Awaitable[None]]


@dataclass
class Peer:
    """A server's side of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "Server"

    async def head(self) -> bytes:
        """The next request's head, which is noted."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    async def say(self, data: bytes) -> None:
        """Send."""
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the other side has closed; what it still sends is its request's body."""
        with suppress(ConnectionError):
            await self.reader.read()
        self.server.left.set()


@dataclass
class Server:
    """A server with a script for each connection; the last one serves all that follow."""

    scripts: list[Script]
    origin: str = ""
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a raw server."""
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        await script(Peer(reader, writer, self))


@asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[Server]:
    """A server with these scripts; nothing may take longer than the tests wait."""
    server = Server(list(scripts))
    async with raw_server(server.serve) as server.origin, asyncio.timeout(TIME_LIMIT):
        yield server


def answering(*answers: bytes) -> Script:
    """Answers one request after the other on a connection, the last answer again and again."""

    async def script(peer: Peer) -> None:
        for number in range(1000):
            await peer.head()
            await peer.say(answers[min(number, len(answers) - 1)])

    return script


def once(answer: bytes) -> Script:
    """Answers one request and waits until the other side closes."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer)
        await peer.left()

    return script


async def closing(peer: Peer) -> None:
    """Read a request and close."""
    await peer.head()


async def silent(peer: Peer) -> None:
    """Read a request and say nothing."""
    await peer.head()
    await peer.left()


async def start(
    sender: Sender, server: Server, method: str = "GET", body: bytes | None = None, times: aiohttp.ClientTimeout = TIMES
) -> Answer:
    """Send a request; its answer is to be closed."""
    buffered = None if body is None else BufferedBody(body)
    return await sender.request(method, f"{server.origin}/x", [("X-Field", "value")], buffered, times)


async def ask(
    sender: Sender, server: Server, method: str = "GET", body: bytes | None = None, times: aiohttp.ClientTimeout = TIMES
) -> tuple[int, bytes]:
    """Status and body of the answer."""
    answer = await start(sender, server, method, body, times)
    try:
        return answer.status, await answer.content.read()
    finally:
        answer.close()

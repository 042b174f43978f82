"""A listener whose answers wait where they are asked to, and clients that send byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from jmap_proxy.proxy.listener.listener import Listener
from tests.support.clock import Clock

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 10.0


@dataclass
class Host:
    """A listener; its answers wait for `go` where the path says so, and leave request bodies unread."""

    listener: Listener
    clock: Clock
    port: int = 0
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which these bytes have been sent, and have been read by the listener."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(sent)
        for _ in range(10):
            await asyncio.sleep(0)  # loopback: what was sent is there at once, the loop only has to take it in
        return reader, writer


class Endless:
    """Answers no request; notes that one has come, and that it was cancelled."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _request: web.BaseRequest) -> web.StreamResponse:
        """Wait until it is cancelled."""
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """The next answer on a connection."""
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    fields = dict(text.split(": ", 1) for text in lines)
    return int(line.split()[1]), fields, await reader.readexactly(int(fields["Content-Length"]))


@asynccontextmanager
async def hosting(**settings: Any) -> AsyncIterator[Host]:
    """A listener on loopback, whose rounds are made by hand."""
    clock = Clock(0)

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/wait":
            place.entered.set()
            await place.go.wait()
        return web.Response(status=401 if request.path == "/refused" else 200, body=b"served")

    place = Host(Listener(serve, patience=0.1, clock=clock, **({"head": PATIENCE} | settings)), clock)
    place.port = int((await place.listener.open("127.0.0.1", 0)).rpartition(":")[2])
    try:
        yield place
    finally:
        for writer in place.writers:
            writer.close()
        await place.listener.close()

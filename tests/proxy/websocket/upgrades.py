"""What the WebSocket tests share: servers that switch protocols byte by byte, and the client's side of it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from jmap_proxy.proxy.websocket.handshake import accept_of
from jmap_proxy.sandbox.listener import Listener
from tests.proxy.support import AUTH, SESSION, Proxy, Serve, scripted

WEBSOCKET = "urn:ietf:params:jmap:websocket"
WS_SESSION = SESSION | {"capabilities": {**SESSION["capabilities"], WEBSOCKET: {"url": "wss:/ws"}}}  # type: ignore[dict-item]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OFFER = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Protocol: jmap",
)
CHOSEN = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Protocol: jmap")
SWITCHED = (
    "\r\n".join(("HTTP/1.1 101 Switching Protocols", *CHOSEN, f"Sec-WebSocket-Accept: {accept_of(KEY)}")) + "\r\n\r\n"
).encode()
"""The right answer to OFFER."""


def switching(serve: Serve, heads: list[bytes] | None = None, answer: bytes = SWITCHED) -> Serve:
    """Answers a handshake with `answer` and goes on as `serve` says; its head is noted in `heads`."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head)
        writer.write(answer)
        await serve(reader, writer)

    return scripted(answered, WS_SESSION)


@asynccontextmanager
async def socket_server(serve: Callable[[web.WebSocketResponse], Awaitable[None]]) -> AsyncIterator[str]:
    """A server whose WebSockets do as `serve` says; gives its origin."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path != "/ws":
            return web.json_response(WS_SESSION)
        peer = web.WebSocketResponse(protocols=["jmap"], autoping=False, timeout=0.2)
        await peer.prepare(request)
        await serve(peer)
        return peer

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    listener = Listener(app)
    try:
        yield await listener.start()
    finally:
        await listener.stop()


async def websocket_url(proxy: Proxy) -> str:
    """The WebSocket URL of the Session."""
    url: str = (await proxy.session())["capabilities"][WEBSOCKET]["url"]
    return url


async def shake_hands(
    proxy: Proxy, *lines: str, offer: tuple[str, ...] = OFFER, behind: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a handshake, and bytes right behind it."""
    path = "/" + (await websocket_url(proxy)).split("/", 3)[3]
    return await proxy.raw(f"GET {path} HTTP/1.1", "Host: localhost", AUTH, *offer, *lines, body=behind)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once by a reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


async def until_still(state: Callable[[], object]) -> None:
    """Wait until `state` stays the same over many turns of the event loop, on which all sides run."""
    latest, turns = state(), 0
    while turns < 2000:
        await asyncio.sleep(0)
        latest, turns = (now, 0) if (now := state()) != latest else (latest, turns + 1)

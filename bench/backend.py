"""Events and WebSockets behind the server, in this process: the smallest that does the work. Behind a Unix socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

EVENT = b'event: state\nid: %d\ndata: {"@type":"StateChange","changed":{"A":{"Email":"%d"}}}\n\n'

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"
_SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Protocol: jmap\r\nSec-WebSocket-Accept: {}\r\n\r\n"
)
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of RFC 6455 §1.3."""


class Backend:
    """Serves event streams, and WebSockets that send each message back.

    Attributes:
        streams: Those that are open.
    """

    def __init__(self) -> None:
        self.streams: set[asyncio.Transport] = set()
        self._count = 0

    def send_event(self) -> float:
        """Send an event on each stream; when that began."""
        since = time.perf_counter()
        self._count += 1
        event = EVENT % (self._count, self._count)
        for stream in self.streams:
            stream.write(event)
        return since


class _Connection(asyncio.Protocol):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._data = b""
        self._is_echo = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        if self._is_echo:
            self._echo(data)
            return
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        self._data = rest
        if head.startswith(b"GET /ws"):
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
            key = next(value for name, value in fields.items() if name.lower() == "sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest())
            self._transport.write(_SWITCH.format(accept.decode()).encode())
            self._is_echo = True
        else:
            self._transport.write(_STREAM)
            self._backend.streams.add(self._transport)

    def _echo(self, data: bytes) -> None:
        """Send small masked text frames back unmasked, as RFC 6455 §5.1 wants it."""
        self._data += data
        while len(self._data) >= 2:  # noqa: PLR2004 - the least of a frame's head
            length, start = self._data[1] & 127, 2
            if length == 126:  # noqa: PLR2004 - then two bytes tell it
                length, start = int.from_bytes(self._data[2:4]), 4
            end = start + 4 + length
            if len(self._data) < end:
                return
            mask, payload = self._data[start : start + 4], self._data[start + 4 : end]
            whole = int.from_bytes(mask * (length // 4 + 1)) >> (8 * (4 - length % 4))
            plain = (int.from_bytes(payload) ^ whole).to_bytes(length)
            self._transport.write(bytes([self._data[0]]) + _length(length) + plain)
            self._data = self._data[end:]

    def connection_lost(self, exc: BaseException | None) -> None:
        del exc
        self._backend.streams.discard(self._transport)


def _length(length: int) -> bytes:
    return bytes([length]) if length < 126 else bytes([126]) + length.to_bytes(2)  # noqa: PLR2004 - RFC 6455 §5.2


@asynccontextmanager
async def backend(path: Path) -> AsyncIterator[Backend]:
    """A backend behind a Unix socket, as long as the context is open."""
    serving = Backend()
    server = await asyncio.get_running_loop().create_unix_server(lambda: _Connection(serving), str(path), backlog=1024)
    await asyncio.to_thread(path.chmod, 0o777)  # for nginx's worker; the folder is ours
    try:
        yield serving
    finally:
        server.close()
        for stream in list(serving.streams):
            stream.abort()

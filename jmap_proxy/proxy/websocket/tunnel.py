"""Two connections become one: after a 101 on both sides, bytes pass as they are until both sides have ended.

Nothing is waited for in a task: each transport tells when its buffer is full, and the other one is not read meanwhile.
The transports get protocols of our own; aiohttp's go on hearing of what they keep count of. What relies on aiohttp's
way to upgrade a connection is here: `set_parser`, `writing_paused` and `transport` of its protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from jmap_proxy.proxy.websocket.frames import FrameCursor, close_frame

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.base_protocol import BaseProtocol

    from jmap_proxy.proxy.upstream.sender import Answer

GOING_AWAY = 1001

LAST_BYTES = 10.0
"""Seconds that a connection gets to take its last bytes once the other one is gone."""


async def tunnel(request: web.BaseRequest, upstream: Answer, patience: float = LAST_BYTES) -> None:
    """Pass bytes both ways; the client has got its 101 already.

    A cancellation, by which the proxy itself ends it, is told to the client by a Close frame, so that it reconnects.

    Args:
        request: The client's, on whose connection the frames travel.
        upstream: The server's 101, just as it came.
        patience: Seconds; see LAST_BYTES.

    Raises:
        ConnectionResetError: the client has left meanwhile.
    """
    connection = upstream.connection
    before_client, before_server = request.protocol, connection.protocol if connection else None
    if before_client.transport is None or before_server is None:
        raise ConnectionResetError("a side has left before the first byte")
    ahead_client, ahead_server = _ReadAhead.of(before_client), _ReadAhead.of(before_server, None)
    if before_server.transport is None:
        before_client.transport.write(bytes(ahead_server))
        return
    client, server = _Client(before_client, patience), _Side(before_server, patience)
    client.join(server)
    server.join(client)
    server.data_received(bytes(ahead_server))
    client.data_received(bytes(ahead_client))
    try:
        await client.lost.wait()
    finally:
        client.say_goodbye()
        client.close()
        server.close()


class _ReadAhead(bytearray):
    """Takes the bytes that came together with the handshake: aiohttp gives them to what it takes for its parser."""

    @classmethod
    def of(cls, protocol: Any, *rest: None) -> _ReadAhead:
        """The bytes that `protocol` has read already; if it has paused reading for them, it resumes."""
        ahead = cls()
        protocol.set_parser(ahead, *rest)
        return ahead

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Part of the parser's interface: never at an end, nothing left over."""
        self.extend(data)
        return False, b""

    def feed_eof(self) -> None:
        """Part of the parser's interface."""


class _Side(asyncio.Protocol):
    """One of the two connections; what it receives is written to the other one.

    Args:
        before: aiohttp's protocol of a connection that is open.
        patience: Seconds that `close` waits for the last bytes to be taken.

    Attributes:
        lost: Set when the connection is gone.
    """

    _other: _Side

    def __init__(self, before: BaseProtocol, patience: float) -> None:
        if before.transport is None:
            raise ConnectionResetError("not connected")
        self.lost = asyncio.Event()
        self._transport = before.transport
        self._before = before
        self._patience = patience
        self._has_ended = False  # it sends no more
        self._is_told = False  # that the other one sends no more
        self._abort: asyncio.TimerHandle | None = None

    def join(self, other: _Side) -> None:
        """Take the connection over."""
        self._other = other
        self._transport.set_protocol(self)
        if self._before.writing_paused:
            other.hold()

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def eof_received(self) -> bool:
        """Let the other one know.

        Returns:
            Whether this one stays open for what is still to come for it; TLS has no half-closed connections.
        """
        self._has_ended = True
        self._other.write_eof()
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._before.pause_writing()
        self._other.hold()

    def resume_writing(self) -> None:
        self._before.resume_writing()
        self._other.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = True
        if self._abort is not None:
            self._abort.cancel()
        self.lost.set()
        self._other.close()
        self._before.connection_lost(exc)

    def hold(self) -> None:
        """Read no more for the moment."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes; none if it has gone."""
        if self._is_writable():
            self._transport.write(data)

    def write_eof(self) -> None:
        """Tell that nothing more comes; where the connection cannot tell that, or nothing comes back, close it."""
        if self._has_ended or not self._transport.can_write_eof():
            self.close()
        elif self._is_writable():
            self._is_told = True
            with contextlib.suppress(OSError):  # it has just gone, and connection_lost is to come
                self._transport.write_eof()

    def close(self) -> None:
        """Close the connection when it has taken what was written, or after the patience."""
        if self.lost.is_set() or self._abort is not None:
            return
        self._abort = asyncio.get_running_loop().call_later(self._patience, self._transport.abort)
        self._before.transport = None  # aiohttp would close it once more, which breaks asyncio's TLS transport
        if not self._transport.is_closing():
            self._transport.close()

    def _is_writable(self) -> bool:
        return not self._is_told and not self._transport.is_closing()


class _Client(_Side):
    """The client's connection, on which the proxy may have to say something itself."""

    def __init__(self, before: BaseProtocol, patience: float) -> None:
        super().__init__(before, patience)
        self._written = FrameCursor()

    def write(self, data: bytes) -> None:
        self._written.advance(data)
        super().write(data)

    def say_goodbye(self) -> None:
        """Send a Close frame, if it can be understood where the stream stands (RFC 6455 §5.5.1)."""
        if self._written.at_boundary and not self._written.closed:
            self.write(close_frame(GOING_AWAY))

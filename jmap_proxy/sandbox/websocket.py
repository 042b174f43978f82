"""JMAP over WebSocket (RFC 8887): requests, their responses, and push on one connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from jmap_proxy.sandbox.jmap_request import RequestRefusedError, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.state_changes import StateChanges

SUBPROTOCOL = "jmap"
CLOSE_TIMEOUT = 0.2
"""Seconds that a client gets to answer a close."""


class WebSocket:
    """One WebSocket connection.

    Args:
        answer: Turns a parsed Request into its Response, or raises `RequestRefusedError`.
        state_changes: Where push comes from.
        max_size: Octets that one message may have.
    """

    def __init__(self, answer: Callable[[Any], dict[str, Any]], state_changes: StateChanges, max_size: int) -> None:
        self._socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), timeout=CLOSE_TIMEOUT, max_msg_size=max_size)
        self._answer = answer
        self._state_changes = state_changes
        self._push: asyncio.Task[None] | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer messages until one side closes. The client must offer the subprotocol (RFC 8887 §3)."""
        if SUBPROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(","):
            raise web.HTTPBadRequest(text="the subprotocol jmap is needed")
        await self._socket.prepare(request)
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT:
                    await self.close(WSCloseCode.UNSUPPORTED_DATA)
                    break
                await self._take(message.data)
        finally:
            await self._stop_push()
        return self._socket

    async def close(self, code: int) -> None:
        """Close the connection with a close code (RFC 6455 §7.4)."""
        await self._socket.close(code=code)

    async def _take(self, text: str) -> None:
        """Act on one message (RFC 8887 §4.3)."""
        message: Any = None
        try:
            message = parsed(text)
            match message.get("@type") if isinstance(message, dict) else None:
                case "WebSocketPushEnable":
                    await self._start_push(message.get("dataTypes"))
                case "WebSocketPushDisable":
                    await self._stop_push()
                case "Request":
                    await self._send("Response", self._answer(message), message)
                case _:
                    raise RequestRefusedError("notRequest", "@type is not known")  # noqa: TRY301 - one way out
        except RequestRefusedError as error:
            await self._send("RequestError", error.problem, message)

    async def _send(self, kind: str, content: dict[str, Any], request: Any) -> None:
        """Send an answer under the request's own id."""
        named = isinstance(request, dict) and "id" in request
        identity = {"requestId": request["id"]} if named else {}
        await self._socket.send_json({"@type": kind, **identity, **content})

    async def _start_push(self, types: Any) -> None:
        await self._stop_push()
        wanted = frozenset(types) if isinstance(types, list) else None
        self._push = asyncio.create_task(self._pushing(wanted))

    async def _stop_push(self) -> None:
        if self._push is not None:
            self._push.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._push
            self._push = None

    async def _pushing(self, types: frozenset[str] | None) -> None:
        with self._state_changes.listen() as listening, contextlib.suppress(ConnectionError):
            while change := await listening.next():
                data = change.for_types(types)
                if data is not None:
                    await self._socket.send_json(data)

"""Clients' connections: aiohttp's, with what it lacks.

Whatever relies on the inner names of aiohttp's server is here and in `server`. Here, of 3.14 and pinned by the tests:
`_messages`, `_request_count`, `_waiter`, `_upgraded`, `_payload_parser`, `_lingering_time`, `_request_in_progress`,
`_close`, `_force_close`, `_paused`, `_keepalive_handle`, `_next_keepalive_close_time`, `_process_keepalive`, `_parser`,
and a parser's `message_consumed`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from jmap_proxy.errors import JmapProxyError, RequestMalformed
from jmap_proxy.proxy.wire.broken_body import break_body
from jmap_proxy.proxy.wire.problem import problem_response

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from jmap_proxy.proxy.listener.server import Server

KEEP_ALIVE = 75.0
"""Seconds that an idle connection of a client is kept."""

LINGER = 2.0
"""Seconds for which what a client still sends is read away, so that a reset does not cost it its answer."""

MOST_READ_AWAY = 16 << 20
"""Bytes that are read away at most."""

LARGE = 64 << 10
"""Bytes of a request body that is not read away just to keep its connection."""


class Connection(web.RequestHandler):
    """A client's connection.

    What aiohttp lacks: a limit to their number, a time limit for heads, an end that does not cost a client its answer,
    and word to a body whose bytes have become unreadable.
    """

    __slots__ = (
        "_awaited",
        "_away",
        "_away_done",
        "_garbled",
        "_heard",
        "_is_free",
        "_latest_body",
        "_server",
        "_works",
    )

    def __init__(self, server: Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._server = server
        self._latest_body: StreamReader | None = None
        self._awaited = True
        self._heard = False
        self._garbled = False
        self._away = 0
        self._away_done: asyncio.Future[None] | None = None
        self._is_free = True
        self._works = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or tell its client that there is no place."""
        if self._server.admission.enter(self):
            super().connection_made(transport)
        else:
            self._force_close = True
            stream = cast("asyncio.Transport", transport)  # uvloop's are no subclass
            stream.write(self._server.full)
            stream.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place away."""
        self._server.admission.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes to the parser, and see whether they were the begin or the end of a head."""
        if self._away_done is not None:
            self._read_away(len(data))
            return
        count, body = self._request_count, self._latest_body
        between = body is None or body.is_eof()
        super().data_received(data)
        if self._request_count != count:
            self._awaited = self._is_free = False
            self._server.admission.head_came(self)
            self._take_latest_body()
        elif data and between and not self._heard_head():
            self._awaited = True
            self._server.admission.head_begun(self)
        self._heard = True

    def drop(self) -> None:
        """See `Guest`."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def end_late(self) -> None:
        """See `Guest`."""
        if self._request_in_progress or self._messages:  # an earlier request is still being answered
            self.close()
            return
        if self._heard and self.transport is not None:
            self.transport.write(self._server.late)
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Problem details instead of aiohttp's own page, which repeats the bytes that it did not understand."""
        super().handle_error(request, status, exc, message)  # logs, and raises if an answer has begun
        ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self._garbled = not ours
        response = problem_response(JmapProxyError("unforeseen") if ours else RequestMalformed())
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; if it is the connection's last and the client may still be sending, see that it arrives.

        It is the last one if there is more of the body to come than it is worth to read away for a connection.
        """
        if not (resp.prepared or request.content.is_eof()) and (request.content_length or LARGE) >= LARGE:
            resp.force_close()
        resp, left = await super().finish_response(request, resp, start_time)
        if not self._messages:
            self._is_free = not left and bool(resp.keep_alive) and request.content.is_eof()
            self._server.admission.rest(self)
        if not (left or resp.keep_alive or self._upgraded) and self._may_still_send(request):
            await self._linger()
        return resp, left

    def _may_still_send(self, request: web.BaseRequest) -> bool:
        """Whether the client may send more: nonsense, the rest of its body, or a next request.

        For the sake of the last one no TLS connection is kept open, since one side of it cannot be closed alone: who
        waits for the end of the answer would wait for longer.
        """
        if self._garbled or not request.content.is_eof():
            return True
        if self._server.closing or not request.keep_alive:
            return False
        return self.transport is not None and self.transport.can_write_eof()

    def _heard_head(self) -> bool:
        """Whether bytes that have come without a new request are not those of a head, or of one already waited for."""
        return self._awaited or self._upgraded or self._payload_parser is not None or self._close or self._force_close

    def _take_latest_body(self) -> None:
        """Tell the body before the latest request if its bytes have become unreadable.

        aiohttp's C parser does not: if a later read holds a broken chunk, it queues an error as the next request, and
        the body waits for ever. A queued request behind a body without end can be nothing else.
        """
        if not self._messages or self._messages[-1][1] is self._latest_body:
            return
        body, self._latest_body = self._latest_body, self._messages[-1][1]
        if body is not None and body.exception() is None:
            break_body(body, web.RequestPayloadError("the chunks cannot be read"))

    async def _linger(self) -> None:
        """Read away what still comes, for a while (RFC 9112 §9.6); then aiohttp closes."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._away_done = self._loop.create_future()
        self._lingering_time = 0.0  # aiohttp's own way to do this, which keeps a body for ten seconds
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        try:
            async with asyncio.timeout(LINGER):
                await self._away_done
        except TimeoutError:
            pass

    def _read_away(self, size: int) -> None:
        self._away += size
        if self._away > MOST_READ_AWAY and self._away_done is not None and not self._away_done.done():
            self._away_done.set_result(None)

    # For who answers a request without aiohttp's `start`, which waits at `_waiter` for a message.

    def is_free(self) -> bool:
        """Whether all requests have been answered, and a next one may come."""
        return self._is_free and not (self._messages or self._close or self._force_close or self._paused)

    def can_answer(self) -> bool:
        """Whether a request may be answered by a connection that goes on."""
        transport = self.transport
        return not (transport is None or transport.is_closing() or self._close or self._server.closing)

    def parse(self, data: bytes) -> RawRequestMessage | None:
        """Pass bytes to the parser, and do not let aiohttp know until `go_on`.

        Returns:
            The request of which the head has come to its end by them; None for none, several or nonsense.
        """
        waiter, self._waiter = self._waiter, None  # aiohttp ends no connection in here, which would cancel it
        count = self._request_count
        try:
            Connection.data_received(self, data)
        finally:
            self._waiter = waiter
        latest = self._messages[-1][0] if self._messages and self._request_count == count + 1 else None
        return latest if isinstance(latest, RawRequestMessage) else None

    def go_on(self) -> None:
        """Let aiohttp answer what has come."""
        if self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def read_on(self) -> None:
        """Read again, unless aiohttp has paused reading too: then it resumes by itself, and looks at its limit once."""
        if self.transport is not None and not (self._buffer_paused or self._reading_paused):
            self.transport.resume_reading()

    def latest_request(self) -> web.BaseRequest:
        """The request that has come last, as it is seen by who answers it."""
        message, body = self._messages[-1]
        return self._server.request(message, body, self)

    def drop_latest(self) -> None:
        """Let aiohttp not answer the request that has come last, and that was the only one."""
        self._is_free = True
        self._latest_body = None  # nobody reads it
        self._messages.pop()
        if self._parser is not None:
            self._parser.message_consumed()

    def work(self) -> None:
        """A request is being answered without aiohttp, until `rest` or `hand_over`."""
        self._works = True
        self._awaited, self._heard = False, True
        self._server.admission.head_came(self)

    def hand_over(self) -> None:
        """It is to be answered by aiohttp after all."""
        self._works = False

    def rest(self) -> None:
        """The request has been answered: wait for the next one, for so long."""
        self._works = False
        self._next_keepalive_close_time = until = self._loop.time() + KEEP_ALIVE
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(until, self._process_keepalive)
        self._server.admission.rest(self)

    def _process_keepalive(self) -> None:
        """End a connection that has rested for too long; aiohttp does not know of those that work without it."""
        if self._works:
            self._keepalive_handle = self._loop.call_later(KEEP_ALIVE, self._process_keepalive)
        else:
            super()._process_keepalive()

"""Clients' connections: aiohttp's, with what it lacks. Whatever relies on aiohttp's inner names is here.

Its own, seen in 3.14 and pinned by the tests: `_messages`, `_request_count`, `_waiter`, `_upgraded`, `_payload_parser`,
`_lingering_time`, `_request_in_progress`, `_close`, `_force_close`; a server's `_loop`, `_kwargs`;
a writer's `_headers_buf`, `_headers_written`.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE, StreamWriter

from jmap_proxy.errors import HeadTimeout, JmapProxyError, RequestMalformed, TooManyConnections
from jmap_proxy.proxy.wire.broken_body import break_body
from jmap_proxy.proxy.wire.framing import has_control, is_utf8
from jmap_proxy.proxy.wire.problem import problem_bytes, problem_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from multidict import CIMultiDict

    from jmap_proxy.proxy.listener.admission import Admission

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEEP_ALIVE = 75.0
"""Seconds that an idle connection of a client is kept."""

LINGER = 2.0
"""Seconds for which what a client still sends is read away, so that a reset does not cost it its answer."""

MOST_READ_AWAY = 16 << 20
"""Bytes that are read away at most."""

LARGE = 64 << 10
"""Bytes of a request body that is not read away just to keep its connection."""

LONGEST_FIELD = 32 << 10
"""Bytes of a request line or header field."""

MOST_FIELDS = 128
"""Header fields of a request."""


SERVER = "jmap-proxy"
"""In answers that no server has written."""


class _WithoutContents(logging.Filter):
    """aiohttp logs malformed requests with their bytes, which can hold a key; only that it happened is kept.

    That is no error of the proxy, and whoever sends nonsense shall not fill the log with errors.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        record.exc_text = None
        if record.msg.startswith("Error handling request"):
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


_server_log = logging.getLogger("jmap_proxy.http")
_server_log.addFilter(_WithoutContents())


class Connection(web.RequestHandler):
    """A client's connection.

    What aiohttp lacks: a limit to their number, a time limit for heads, an end that does not cost a client its answer,
    and word to a body whose bytes have become unreadable.
    """

    __slots__ = ("_awaited", "_away", "_away_done", "_garbled", "_heard", "_latest_body", "_server")

    def __init__(self, server: Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._server = server
        self._latest_body: StreamReader | None = None
        self._awaited = True
        self._heard = False
        self._garbled = False
        self._away = 0
        self._away_done: asyncio.Future[None] | None = None

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
            self._awaited = False
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


class Server(web.Server):
    """A server of such connections.

    Args:
        answer: Answers a request.
        admission: Says which connections are taken.
        most: Connections at a time, for those that are refused to be told.
        patience: Seconds for a head, for those that are late to be told.

    Attributes:
        closing: Whether it is about to end, and no time is to be spent on clients that might have more to say.
    """

    def __init__(self, answer: Answer, admission: Admission, *, most: int, patience: float) -> None:
        super().__init__(
            answer,
            request_factory=self._request,
            handler_cancellation=True,  # a client that leaves ends the upstream exchange
            access_log=None,
            logger=_server_log,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE,
            lingering_time=LINGER,
            max_line_size=LONGEST_FIELD,
            max_field_size=LONGEST_FIELD,
            max_headers=MOST_FIELDS,
        )
        self.admission = admission
        self.closing = False
        self.full = problem_bytes(TooManyConnections(most))
        self.late = problem_bytes(HeadTimeout(patience))

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def _request(
        self,
        message: Any,
        payload: StreamReader,
        protocol: web.RequestHandler,
        _writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, Writer(protocol, self._loop), task, self._loop)


class Writer(StreamWriter):
    """A writer that sends field bytes that are not UTF-8 as they came; aiohttp's leaves them out.

    Such are file names in Content-Disposition of servers that still send ISO 8859-1 (RFC 9110 §5.5).
    Nor does it name aiohttp and Python, with their versions, to everybody who asks (RFC 9110 §10.2.4).
    """

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Keep the head to be sent with the first bytes of the body. Raises ValueError for control characters."""
        if headers.get("Server") == SERVER_SOFTWARE:
            headers["Server"] = SERVER
        if is_utf8("".join(headers.values())):
            await super().write_headers(status_line, headers)
            return
        lines = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
        if has_control(lines):
            raise ValueError("control character in a header field")
        self._headers_buf = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        self._headers_written = False

"""Listening: an aiohttp server on one address, that ends cleanly."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from jmap_proxy.errors import JmapProxyError, RequestMalformed
from jmap_proxy.proxy.problem import problem_response

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEEP_ALIVE = 75.0
"""Seconds that an idle connection of a client is kept."""

LAST_BYTES = 2.0
"""Seconds that a finished answer gets to reach its client when the listener is closed."""

LONGEST_FIELD = 32 << 10
"""Bytes of a request line or header field."""


class _WithoutContents(logging.Filter):
    """aiohttp logs malformed requests with their bytes, which can hold a key; only that it happened is kept."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        record.exc_text = None
        return True


_server_log = logging.getLogger("jmap_proxy.http")
_server_log.addFilter(_WithoutContents())


class _Connection(web.RequestHandler):
    """A client's connection that tells a body whose bytes have become unreadable.

    aiohttp's C parser does not: if a later read holds a broken chunk, it queues an error as the next request, and the
    body waits for ever. A queued request behind a body without end can be nothing else. `_messages` is aiohttp's own.
    """

    __slots__ = ("_latest_body",)

    _latest_body: StreamReader | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._latest_body = None
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._messages or self._messages[-1][1] is self._latest_body:
            return
        body, self._latest_body = self._latest_body, self._messages[-1][1]
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(web.RequestPayloadError("the chunks cannot be read"))

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
        response = problem_response(JmapProxyError("unforeseen") if ours else RequestMalformed())
        response.force_close()
        return response


class _Server(web.Server):
    """A server of such connections; `_loop` and `_kwargs` are aiohttp's own."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class Listener:
    """Serves `answer` on one address until it is closed.

    Args:
        answer: Answers a request.
        tls: For https, None for plain http.
        patience: Seconds that requests in flight get to finish when it is closed.
    """

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None, patience: float = 20.0) -> None:
        self._handler = answer
        self._patience = patience
        self._in_flight: set[asyncio.Task[object]] = set()
        self._closing = False
        server = _Server(
            self._answer,
            handler_cancellation=True,  # a client that leaves ends the upstream exchange
            access_log=None,
            logger=_server_log,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE,
            max_line_size=LONGEST_FIELD,
            max_field_size=LONGEST_FIELD,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=min(patience, LAST_BYTES))
        self._tls = tls

    async def open(self, host: str, port: int) -> str:
        """Start to listen; port 0 lets the kernel choose.

        Returns:
            The address as an origin, for example "http://127.0.0.1:8620".

        Raises:
            OSError: the address is taken or not ours.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        bound = self._runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{bound}"

    async def close(self) -> None:
        """Stop listening; requests in flight get their time to finish, then they are cut.

        aiohttp's own way to end takes in no more bytes, also of uploads that have begun; so it comes last.
        """
        for site in list(self._runner.sites):
            await site.stop()
        self._closing = True
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self._patience)
        for task in self._in_flight:
            task.cancel()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is not None:
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
        response = await self._handler(request)
        if self._closing or "Upgrade" in request.headers:  # aiohttp would drop what is pipelined behind an upgrade
            response.force_close()
        return response

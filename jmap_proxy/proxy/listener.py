"""Listening: an aiohttp server on one address, that ends cleanly."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

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
        server = web.Server(
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
        if self._closing:
            response.force_close()
        return response

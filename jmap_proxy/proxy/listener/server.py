"""The server of a listener: aiohttp's, with connections and writers of our own kind.

Relied on of aiohttp's inner names, of 3.14 and pinned by the tests: a server's `_loop`, `_kwargs`; a writer's
`_headers_buf`, `_headers_written`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE, StreamWriter

from jmap_proxy.errors import HeadTimeout, TooManyConnections
from jmap_proxy.proxy.listener.connections import KEEP_ALIVE, LINGER
from jmap_proxy.proxy.listener.fast_connection import FastConnection
from jmap_proxy.proxy.uses import Uses
from jmap_proxy.proxy.wire.framing import has_control, is_utf8
from jmap_proxy.proxy.wire.headers import SERVER
from jmap_proxy.proxy.wire.problem import problem_bytes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from multidict import CIMultiDict

    from jmap_proxy.proxy.fast.lane import Lane
    from jmap_proxy.proxy.listener.admission import Admission

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LONGEST_FIELD = 32 << 10
"""Bytes of a request line or header field."""

MOST_FIELDS = 128
"""Header fields of a request."""


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


class Server(web.Server):
    """A server of such connections.

    Args:
        answer: Answers a request.
        admission: Says which connections are taken.
        most: Connections at a time, for those that are refused to be told.
        patience: Seconds for a head, for those that are late to be told.

    Attributes:
        closing: Whether it is about to end, and no time is to be spent on clients that might have more to say.
        crossings: The calls that are on their way in the fast way.
        lane: Begins them, None for no fast way; may be exchanged at any time.
    """

    def __init__(self, answer: Answer, admission: Admission, *, most: int, patience: float) -> None:
        super().__init__(
            answer,
            request_factory=self.request,
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
        self.crossings = Uses()
        self.lane: Lane | None = None
        self.full = problem_bytes(TooManyConnections(most))
        self.late = problem_bytes(HeadTimeout(patience))

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return FastConnection(self, loop=self._loop, **self._kwargs)

    def request(
        self,
        message: Any,
        payload: StreamReader,
        protocol: web.RequestHandler,
        _writer: AbstractStreamWriter | None = None,
        task: asyncio.Task[None] | None = None,
    ) -> web.BaseRequest:
        """A request, to be answered by our own kind of writer."""
        return web.BaseRequest(message, payload, protocol, Writer(protocol, self._loop), task, self._loop)  # type: ignore[arg-type]


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

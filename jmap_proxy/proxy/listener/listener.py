"""Listening: a server on one address, that ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import structlog

from jmap_proxy.errors import Refused
from jmap_proxy.proxy.listener.admission import SHARE, Admission
from jmap_proxy.proxy.listener.server import Server
from jmap_proxy.proxy.upstream.direct import is_known
from jmap_proxy.proxy.wire.framing import check_framing, is_last
from jmap_proxy.proxy.wire.problem import problem_response
from jmap_proxy.request_id import begin_request

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from aiohttp import web

    from jmap_proxy.proxy.fast.crossing import Crossing
    from jmap_proxy.proxy.fast.lane import Lane
    from jmap_proxy.proxy.listener.fast_connection import FastConnection
    from jmap_proxy.proxy.listener.server import Answer

LAST_BYTES = 2.0
"""Seconds that a finished answer gets to reach its client when the listener is closed."""

BACKLOG = 256
"""Connections that may wait to be accepted, at most; so many are accepted at once."""

HEAD = 15.0
"""Seconds for a request's head, where nothing else is said."""

CONNECTIONS = 2048
"""Connections at a time, where nothing else is said."""

ROUND = 1.0
"""Seconds from one look for late heads to the next, at most."""

log = structlog.get_logger("jmap_proxy.proxy")


class Listener:
    """Serves `answer` on one address until it is closed.

    Args:
        answer: Answers a request.
        tls: For https, None for plain http.
        patience: Seconds that requests in flight get to finish when it is closed.
        head: Seconds for the head of a request to come whole, and for a TLS handshake.
        connections: Most connections at a time; see `Admission` for what happens when they are that many.
        clock: Seconds that never go back.

    Attributes:
        admission: The connections.
        answer: Answers a request; to be exchanged by `serve`.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        tls: ssl.SSLContext | None = None,
        patience: float = 20.0,
        head: float = HEAD,
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.admission = Admission(connections, head, clock)
        self.answer = answer
        self._patience = patience
        self._round = min(ROUND, head / 4)
        self._in_flight: set[asyncio.Task[object]] = set()
        self._server = Server(self._answer, self.admission, most=connections, patience=head)
        self._sockets: list[asyncio.Server] = []
        self._rounds: asyncio.Task[None] | None = None
        self._tls = tls
        # a head that comes with its connection is read two such rounds later, and must not have made room before
        self._settings: dict[str, Any] = {
            "backlog": min(BACKLOG, max(1, connections // (2 * SHARE))),
            "start_serving": False,
        }
        if tls is not None:
            self._settings |= {"ssl": tls, "ssl_handshake_timeout": head, "ssl_shutdown_timeout": LAST_BYTES}

    def serve(self, answer: Answer, lane: Lane | None = None) -> None:
        """Answer from now on by others.

        Args:
            answer: Answers a request.
            lane: Begins what can be answered in the fast way; not used where aiohttp is not the one that is known.
        """
        self.answer = answer
        self._server.lane = lane if is_known(aiohttp.__version__) else None

    async def open(self, host: str, port: int) -> str:
        """Start to listen; port 0 lets the kernel choose.

        Returns:
            The address as an origin, for example "http://127.0.0.1:8620".

        Raises:
            OSError: the address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        sockets = await loop.create_server(self._server, host, port, **self._settings)
        await self._serve(sockets)
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{sockets.sockets[0].getsockname()[1]}"

    async def open_socket(self, bound: socket.socket) -> None:
        """Start to listen on a socket that is bound already; the listener closes it.

        Raises:
            OSError: it cannot be listened on.
        """
        await self._serve(await asyncio.get_running_loop().create_server(self._server, sock=bound, **self._settings))

    async def close(self) -> None:
        """Stop listening; requests in flight get their time to finish, then they are cut.

        aiohttp's own way to end takes in no more bytes, also of uploads that have begun; so it comes last.
        """
        for sockets in self._sockets:
            sockets.close()
        self._server.closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._server.crossings.over()  # what does not end by itself is in flight then
                while self._in_flight:
                    await asyncio.wait(self._in_flight)
        for task in self._in_flight:
            task.cancel()
        if self._rounds is not None:
            self._rounds.cancel()
        await asyncio.sleep(0)  # a connection that was just accepted starts its task, which then can be ended
        self._server.pre_shutdown()
        await self._server.shutdown(min(self._patience, LAST_BYTES))

    async def _serve(self, sockets: asyncio.Server) -> None:
        self._sockets.append(sockets)  # before it listens: `close` finds it, also if the caller is cancelled now
        await sockets.start_serving()
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._end_late(), name="late heads")

    async def _end_late(self) -> None:
        while True:
            await asyncio.sleep(self._round)
            if late := self.admission.end_late():
                log.info("connections ended without a whole request head", count=late)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        if task is not None:
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
        begin_request()  # aiohttp has made the task for this request alone
        begun = cast("FastConnection", request.protocol).take_begun()
        if begun is not None:
            return await self._carry_on(request, begun)
        try:
            check_framing(request.method, request.version, request.headers)
        except Refused as error:
            log.info("refused", code=error.code, detail=error.detail)
            response: web.StreamResponse = problem_response(error)
            response.force_close()
            return response
        return self._finished(request, await self.answer(request))

    async def _carry_on(self, request: web.BaseRequest, begun: Crossing) -> web.StreamResponse:
        try:
            return self._finished(request, await begun.carry_on(request))
        finally:
            begun.close()

    def _finished(self, request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
        if self._server.closing or is_last(request.headers):
            response.force_close()
        return response

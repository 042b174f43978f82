"""One request's way: who may come in → which upstream → exchange → relay. Every error becomes problem+json here."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from aiohttp.http import HttpVersion11

from jmap_proxy.errors import (
    BadPath,
    BodyTimeout,
    JmapProxyError,
    KeyRefused,
    MethodRefused,
    Refused,
    UpstreamUnreachable,
)
from jmap_proxy.proxy.body import BODY_PATIENCE, ArrivingBody, SpooledBody, check_length, read_body
from jmap_proxy.proxy.endpoint import Kind
from jmap_proxy.proxy.exchange import ANSWERED, STREAM, Call
from jmap_proxy.proxy.headers import SAFE_FOR_BROWSERS, to_upstream
from jmap_proxy.proxy.problem import problem_response
from jmap_proxy.proxy.relay import relay
from jmap_proxy.proxy.sessions import ACCEPT
from jmap_proxy.proxy.target import check_path, is_session_path, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.body import Body
    from jmap_proxy.proxy.door import Door
    from jmap_proxy.proxy.exchange import Exchange
    from jmap_proxy.proxy.session import Session
    from jmap_proxy.proxy.sessions import Sessions
    from jmap_proxy.proxy.target import Target

SESSION_METHODS = frozenset({"GET", "HEAD"})
UNCACHED = "no-cache, no-store, must-revalidate"

log = structlog.get_logger("jmap_proxy.proxy")


@dataclass(frozen=True, slots=True)
class Plane:
    """What forwards the requests of one account."""

    exchange: Exchange
    sessions: Sessions


class Handler:
    """Answers the clients' requests.

    Args:
        planes: By account.
        door: Who may come in.
        upload_replay: Bytes of an upload that are kept for a second try.
        body_patience: Seconds that a client may be silent in the middle of a request body.
    """

    def __init__(
        self, planes: Mapping[str, Plane], door: Door, *, upload_replay: int, body_patience: float = BODY_PATIENCE
    ) -> None:
        self._planes = planes
        self._door = door
        self._upload_replay = upload_replay
        self._body_patience = body_patience
        self._streams: set[asyncio.Task[object]] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; errors come as RFC 9457 problem details."""
        try:
            return await self._answer(request)
        except JmapProxyError as error:
            _log_error(request, error)
            response = problem_response(error)
            if "Expect" in request.headers or isinstance(error, BodyTimeout):
                response.force_close()  # the client may send the body or not; what follows would be a guess
            return response
        except ConnectionError:
            raise  # the client has left
        except web.RequestPayloadError:
            log.info("refused", path=_shown_path(request), detail="the chunks of the request body cannot be read")
            if request.transport is not None:
                request.transport.close()  # there is no telling what follows
            return web.Response(status=HTTPStatus.BAD_REQUEST)  # goes nowhere
        except Exception as error:  # the client gets an answer, the log the reason
            log.exception("unforeseen error", path=_shown_path(request))
            if request.writer.output_size and request.transport is not None:
                request.transport.abort()  # in the middle of an answer, a second one would look like its rest
            return problem_response(JmapProxyError(f"unforeseen: {type(error).__name__}", hint="see the proxy's log"))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        local, account = self._door.enter(request)
        check_path(request.raw_path)
        plane = self._planes.get(account)
        if plane is None:
            raise KeyRefused(
                f"the key is for account {account!r}, which the configuration does not have any more",
                hint=f"add [accounts.{account}] to the configuration again, or use another account's key",
            )
        if is_session_path(request.raw_path):
            return await self._answer_session(request, plane, local)
        return await self._forward(request, plane, local)

    async def _forward(self, request: web.BaseRequest, plane: Plane, local: Origin) -> web.StreamResponse:
        session = await plane.sessions.known()
        target = resolve(request.method, request.raw_path, session)
        arriving = ArrivingBody(request.content, self._body_patience)
        body = await self._body(request, arriving, target, session)
        call = Call(
            request.method,
            target.url,
            _fields(request, target),
            body,
            STREAM if target.kind is Kind.EVENTS else ANSWERED,
        )
        try:
            with self._listed(target.kind):
                async with plane.exchange.send(call) as upstream:
                    return await relay(request, upstream, target, session, local)
        except UpstreamUnreachable:
            if arriving.failure is not None:  # it was the client that broke off, and so the server got no whole request
                raise arriving.failure from None
            raise
        finally:
            if body is not None:
                await body.close()

    def end_streams(self) -> None:
        """End the event streams, which would not end by themselves; their clients connect again."""
        for task in self._streams:
            task.cancel()

    @contextmanager
    def _listed(self, kind: Kind) -> Iterator[None]:
        task = asyncio.current_task()
        if kind is not Kind.EVENTS or task is None:
            yield
            return
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    async def _answer_session(self, request: web.BaseRequest, plane: Plane, local: Origin) -> web.StreamResponse:
        if request.method not in SESSION_METHODS:
            raise MethodRefused(request.method, SESSION_METHODS)
        session = await plane.sessions.fetch(request.headers.get("Accept", ACCEPT))
        headers = {"Cache-Control": UNCACHED, "Vary": "Authorization, Host", **dict(SAFE_FOR_BROWSERS)}
        return web.Response(body=session.shown_at(local), content_type="application/json", headers=headers)

    async def _body(
        self, request: web.BaseRequest, arriving: ArrivingBody, target: Target, session: Session
    ) -> Body | None:
        if not request.body_exists:
            return None
        if target.kind is not Kind.UPLOAD:
            check_length(request.content_length, session.max_size_request)  # before the client is asked to go on
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # as aiohttp does it: what counts is whether the answer has begun
        if target.kind is Kind.UPLOAD:
            return SpooledBody(arriving, request.content_length, self._upload_replay)
        return await read_body(arriving, session.max_size_request)


def _log_error(request: web.BaseRequest, error: JmapProxyError) -> None:
    path = {} if isinstance(error, BadPath) else {"path": _shown_path(request)}
    if isinstance(error, Refused):
        log.info("refused", **path, code=error.code, detail=error.detail)
    else:
        log.warning("request failed", **path, code=error.code, detail=error.detail)


def _shown_path(request: web.BaseRequest) -> str:
    """The path for the log: no query, and nothing of an absolute-form target, which can hold a password."""
    return request.raw_path.partition("?")[0] if request.raw_path.startswith("/") else ""


def _fields(request: web.BaseRequest, target: Target) -> list[tuple[str, str]]:
    """The header fields for upstream. An event stream is asked for uncompressed (measured: Cyrus mislabels it)."""
    fields = to_upstream(request.headers.items())
    if target.kind is not Kind.EVENTS:
        return fields
    return [
        *((name, value) for name, value in fields if name.lower() != "accept-encoding"),
        ("Accept-Encoding", "identity"),
    ]

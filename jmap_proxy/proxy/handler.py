"""One request's way: who may come in → which upstream → exchange → relay. Every error becomes problem+json here."""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from multidict import CIMultiDict

from jmap_proxy.errors import (
    BadPath,
    BodyTimeout,
    JmapProxyError,
    KeyRefused,
    MethodRefused,
    Refused,
    RequestMalformed,
    unforeseen,
)
from jmap_proxy.proxy.door.access import is_from_browser
from jmap_proxy.proxy.door.cors import cors_fields, is_preflight, preflight_fields
from jmap_proxy.proxy.events.event_source import forward_events
from jmap_proxy.proxy.fast.lane import Lane
from jmap_proxy.proxy.forward import forward
from jmap_proxy.proxy.forwarding import Forwarding
from jmap_proxy.proxy.passage import SESSION, Passage, Unobserved
from jmap_proxy.proxy.session.endpoint import Kind
from jmap_proxy.proxy.session.sessions import ACCEPT
from jmap_proxy.proxy.session.target import check_path, is_session_path, resolve
from jmap_proxy.proxy.streams import Streams
from jmap_proxy.proxy.websocket.websocket import forward_websocket
from jmap_proxy.proxy.wire.cut import cut
from jmap_proxy.proxy.wire.headers import SAFE_FOR_BROWSERS
from jmap_proxy.proxy.wire.problem import problem_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from collections.abc import Set as AbstractSet

    from jmap_proxy.proxy.door.access import Visitor
    from jmap_proxy.proxy.door.door import Door
    from jmap_proxy.proxy.fast.crossing import Crossing
    from jmap_proxy.proxy.forwarding import Bounds, Plane
    from jmap_proxy.proxy.passage import Observer
    from jmap_proxy.proxy.session.session import Session

SESSION_METHODS = frozenset({"GET", "HEAD"})
STREAMS = {Kind.EVENTS: forward_events, Kind.WEBSOCKET: forward_websocket}
"""What forwards the requests whose answers do not end by themselves."""

BROWSER_CHALLENGE = 'Bearer realm="jmap-proxy"'

UNCACHED = "no-cache, no-store, must-revalidate"

log = structlog.get_logger("jmap_proxy.proxy")


class Handler:
    """Answers the clients' requests.

    Args:
        planes: By account; looked up for each request, so that they may be exchanged at any time.
        bounds: What a request may cost.
        observer: Is told of the requests, and must not take long.

    Attributes:
        bounds: As above; may be exchanged at any time.
    """

    def __init__(self, planes: Mapping[str, Plane], bounds: Bounds, observer: Observer | None = None) -> None:
        self._planes = planes
        self.bounds = bounds
        self._observer = observer or Unobserved()
        self._streams = Streams()

    def at(self, door: Door) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        """What answers the requests of a listener with this door."""
        return functools.partial(self.answer, door)

    def lane(self, door: Door) -> Lane:
        """What begins API calls by a listener with this door, in the fast way."""
        return Lane(door, self._planes, self._observer, functools.partial(self.answer, door))

    def end_streams(self, account: str | None = None) -> None:
        """End the event streams and WebSockets of an account, or all, which would not end by themselves."""
        self._streams.end(account)

    def end_streams_without(self, key_digests: AbstractSet[str]) -> None:
        """End those that were opened by a local key that is none of these any more."""
        self._streams.end_without(key_digests)

    def open_streams(self) -> Mapping[tuple[str, str], int]:
        """How many event streams and WebSockets are open, by account and kind."""
        return self._streams.counts()

    async def answer(
        self, door: Door, request: web.BaseRequest, crossing: Crossing | None = None
    ) -> web.StreamResponse:
        """Answer one request, or one that has been let in and sent on; errors come as RFC 9457 problem details."""
        passage = Passage(self._observer) if crossing is None else crossing.passage
        response = await self._answer_anyhow(door, request, passage, crossing)
        passage.answer(response.status)
        return response

    async def _answer_anyhow(
        self, door: Door, request: web.BaseRequest, passage: Passage, crossing: Crossing | None
    ) -> web.StreamResponse:
        try:
            return await self._answering(door, request, passage, crossing)
        except JmapProxyError as error:
            _log_error(request, error)
            passage.fail(error)
            response = _problem(door, request, error)
            if "Expect" in request.headers or isinstance(error, BodyTimeout):
                response.force_close()  # the client may send the body or not; what follows would be a guess
            return response
        except ConnectionError:
            raise  # the client has left
        except web.RequestPayloadError:
            broken = RequestMalformed("the chunks of the request body cannot be read")
            _log_error(request, broken)
            passage.fail(broken)
            if request.writer.output_size:
                cut(request)
            response = _problem(door, request, broken)
            response.force_close()  # there is no telling what follows
            return response
        except Exception as error:  # the client gets an answer, the log the reason
            log.exception("unforeseen error", path=_shown_path(request))
            if request.writer.output_size:
                cut(request)  # in the middle of an answer, a second one would look like its rest
            told = unforeseen(error)
            passage.fail(told)
            return _problem(door, request, told)

    def _answering(
        self, door: Door, request: web.BaseRequest, passage: Passage, crossing: Crossing | None
    ) -> Awaitable[web.StreamResponse]:
        """What answers it. No coroutine, since each stream would hold it for as long as it lasts. Raises Refused."""
        if crossing is not None:
            there = crossing.route
            return forward(
                Forwarding(
                    request, there.visitor, there.plane, there.session, there.target, self.bounds, passage,
                    crossing.begun,
                )
            )  # fmt: skip
        if is_preflight(request.method, request.headers):
            return _answer_preflight(door, request)
        return self._answer_visitor(_enter(door, request, passage), request, passage)

    async def _answer_visitor(self, visitor: Visitor, request: web.BaseRequest, passage: Passage) -> web.StreamResponse:
        plane = self._planes.get(visitor.account)
        if plane is None:
            raise KeyRefused(
                f"the key is for account {visitor.account!r}, which this proxy does not serve now",
                hint=f"a new account is served within seconds; a removed one needs [accounts.{visitor.account}] again",
            )
        with plane.uses:
            if is_session_path(request.raw_path):
                passage.kind = SESSION
                return await _answer_session(request, plane, visitor)
            session = await plane.sessions.known()
            if self._planes.get(visitor.account) is plane:
                return await self._forward(visitor, request, plane, session, passage)
        # the plane was exchanged meanwhile, and would end a stream late
        return await self._answer_visitor(visitor, request, passage)

    async def _forward(
        self, visitor: Visitor, request: web.BaseRequest, plane: Plane, session: Session, passage: Passage
    ) -> web.StreamResponse:
        target = resolve(request.method, request.raw_path, session)
        passage.kind = target.kind.value
        forwarding = Forwarding(request, visitor, plane, session, target, self.bounds, passage)
        if target.kind not in STREAMS:
            return await forward(forwarding)
        with self._streams.listed(visitor.account, visitor.key_digest, passage.kind):
            return await STREAMS[target.kind](forwarding)


def _enter(door: Door, request: web.BaseRequest, passage: Passage) -> Visitor:
    """Who comes in, with a path that means the same to everybody. Raises Refused."""
    visitor = door.enter(request)
    check_path(request.raw_path)
    passage.account = visitor.account
    return visitor


async def _answer_preflight(door: Door, request: web.BaseRequest) -> web.Response:
    """Tell an allowed web client that it may ask. The same for all paths: without a key there is nothing to learn."""
    door.check_sender(request)
    check_path(request.raw_path)
    fields = [*preflight_fields(door.web_origin(request), request.headers), *SAFE_FOR_BROWSERS]
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=CIMultiDict(fields))


def _problem(door: Door, request: web.BaseRequest, error: JmapProxyError) -> web.Response:
    """The error as the client may see it: an allowed web client can read it, and no browser asks for a password.

    A browser that has once been asked for a password by Basic sends it with whatever any page makes it send.
    """
    response = problem_response(error)
    response.headers.extend(cors_fields(door.web_origin(request)))
    if "WWW-Authenticate" in response.headers and is_from_browser(request.headers):
        response.headers["WWW-Authenticate"] = BROWSER_CHALLENGE
    return response


async def _answer_session(request: web.BaseRequest, plane: Plane, visitor: Visitor) -> web.StreamResponse:
    if request.method not in SESSION_METHODS:
        raise MethodRefused(request.method, SESSION_METHODS)
    session = await plane.sessions.fetch(request.headers.get("Accept", ACCEPT))
    headers = CIMultiDict([("Cache-Control", UNCACHED), ("Vary", "Authorization, Host"), *SAFE_FOR_BROWSERS])
    headers.extend(cors_fields(visitor.web_origin))
    return web.Response(body=session.shown_at(visitor.local), content_type="application/json", headers=headers)


def _log_error(request: web.BaseRequest, error: JmapProxyError) -> None:
    path = {} if isinstance(error, BadPath) else {"path": _shown_path(request)}
    if isinstance(error, Refused):
        log.info("refused", **path, code=error.code, detail=error.detail)
    else:
        log.warning("request failed", **path, code=error.code, detail=error.detail)


def _shown_path(request: web.BaseRequest) -> str:
    """The path for the log: no query, and nothing of an absolute-form target, which can hold a password."""
    return request.raw_path.partition("?")[0] if request.raw_path.startswith("/") else ""

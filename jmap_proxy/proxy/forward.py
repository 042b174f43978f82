"""Forwarding a request whose answer ends: API calls, uploads, downloads.

Event streams and WebSockets have modules of their own, which take the same `Forwarding`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp.http import HttpVersion11

from jmap_proxy.errors import UpstreamUnreachable
from jmap_proxy.proxy.relay import relay
from jmap_proxy.proxy.session.endpoint import Kind
from jmap_proxy.proxy.timing import Timing
from jmap_proxy.proxy.upstream.body import ArrivingBody, SpooledBody, check_length, read_body
from jmap_proxy.proxy.upstream.exchange import REPEATABLE, Call
from jmap_proxy.proxy.uses import Uses
from jmap_proxy.proxy.wire.headers import to_upstream

if TYPE_CHECKING:
    from aiohttp import web

    from jmap_proxy.proxy.door.access import Visitor
    from jmap_proxy.proxy.session.session import Session
    from jmap_proxy.proxy.session.sessions import Sessions
    from jmap_proxy.proxy.session.target import Target
    from jmap_proxy.proxy.upstream.body import Body
    from jmap_proxy.proxy.upstream.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Plane:
    """What forwards the requests of one account.

    Attributes:
        uses: The requests that are on their way by it.
    """

    exchange: Exchange
    sessions: Sessions
    uses: Uses = field(default_factory=Uses)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the forwarding plane.

    Attributes:
        upload_replay: Bytes of an upload that are kept for a second try.
        body_idle: Seconds that a client may be silent in the middle of a request body.
        spool_folder: Where uploads are kept, best on a disk; "" for the system's folder of temporary files.
        events: How time goes by for event streams.
    """

    upload_replay: int = 256 << 20
    body_idle: float = 60.0
    spool_folder: str = ""
    events: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """One request on its way.

    Attributes:
        request: The client's.
        visitor: Who it is from.
        plane: Forwards the account's requests.
        session: The account's Session, by which `target` was found.
        target: Where it goes.
        bounds: What it may cost.
    """

    request: web.BaseRequest
    visitor: Visitor
    plane: Plane
    session: Session
    target: Target
    bounds: Bounds


async def forward(way: Forwarding) -> web.StreamResponse:
    """Send the request on and its answer back. Raises JmapProxyError."""
    request, target = way.request, way.target
    arriving = ArrivingBody(request.content, way.bounds.body_idle, lambda: _go_on(request))
    body = await _body(way, arriving)
    fields = to_upstream(request.headers.items())
    call = Call(request.method, target.url, fields, body, prompt=request.method in REPEATABLE)
    try:
        async with way.plane.exchange.send(call) as upstream:
            return await relay(request, upstream, target, way.session, way.visitor)
    except UpstreamUnreachable:
        if arriving.failure is not None:  # it was the client that broke off, and so the server got no whole request
            raise arriving.failure from None
        raise
    finally:
        if body is not None:
            await body.close()


async def _body(way: Forwarding, arriving: ArrivingBody) -> Body | None:
    """The request's body. The client is asked for it only when there is a token to send it with."""
    request = way.request
    if not request.body_exists:
        return None
    if way.target.kind is Kind.UPLOAD:
        return SpooledBody(arriving, request.content_length, way.bounds.upload_replay, way.bounds.spool_folder)
    check_length(request.content_length, way.session.max_size_request)
    if _waits(request):
        await way.plane.exchange.see_token()
    return await read_body(arriving, way.session.max_size_request)


async def _go_on(request: web.BaseRequest) -> None:
    if _waits(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp does it: what counts is whether the answer has begun


def _waits(request: web.BaseRequest) -> bool:
    """Whether the client waits to be asked for the body (RFC 9110 §10.1.1)."""
    return request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11

"""Forwarding a request whose answer ends: API calls, uploads, downloads.

Event streams and WebSockets have modules of their own, which take the same `Forwarding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp.http import HttpVersion11

from jmap_proxy.errors import UpstreamUnreachable
from jmap_proxy.proxy.relay import relay
from jmap_proxy.proxy.session.endpoint import Kind
from jmap_proxy.proxy.upstream.body import ArrivingBody, SpooledBody, check_length, read_body, whole_body
from jmap_proxy.proxy.upstream.exchange import REPEATABLE, Call
from jmap_proxy.proxy.wire.headers import to_upstream

if TYPE_CHECKING:
    from aiohttp import web

    from jmap_proxy.proxy.forwarding import Forwarding
    from jmap_proxy.proxy.upstream.body import Body


async def forward(forwarding: Forwarding) -> web.StreamResponse:
    """Send the request on and its answer back. Raises JmapProxyError."""
    request, target = forwarding.request, forwarding.target
    arriving = ArrivingBody(request.content, forwarding.bounds.body_idle, lambda: _go_on(request))
    body = await _body(forwarding, arriving)
    fields = to_upstream(request.headers.items())
    prompt, begun = request.method in REPEATABLE, forwarding.begun
    call = Call(request.method, target.url, fields, body, prompt=prompt, begun=begun)
    try:
        async with forwarding.plane.exchange.send(call) as upstream:
            return await relay(forwarding, upstream)
    except UpstreamUnreachable:
        if arriving.failure is not None:  # it was the client that broke off, and so the server got no whole request
            raise arriving.failure from None
        raise
    finally:
        if body is not None:
            await body.close()


async def _body(forwarding: Forwarding, arriving: ArrivingBody) -> Body | None:
    """The request's body. The client is asked for it only when there is a token to send it with."""
    request, bounds = forwarding.request, forwarding.bounds
    if not request.body_exists:
        return None
    if forwarding.target.kind is Kind.UPLOAD:
        return SpooledBody(arriving, request.content_length, bounds.upload_replay, bounds.spool_folder)
    check_length(request.content_length, forwarding.session.max_size_request)
    if _waits(request):
        await forwarding.plane.exchange.see_token()
    elif request.content.is_eof():  # it has come with the head
        return whole_body(request.content.read_nowait(), forwarding.session.max_size_request)
    return await read_body(arriving, forwarding.session.max_size_request)


async def _go_on(request: web.BaseRequest) -> None:
    if _waits(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp does it: what counts is whether the answer has begun


def _waits(request: web.BaseRequest) -> bool:
    """Whether the client waits to be asked for the body (RFC 9110 §10.1.1)."""
    return request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11

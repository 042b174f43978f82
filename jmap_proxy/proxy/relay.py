"""The server's answer to the client: piece by piece as it comes, no faster than the client takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import structlog
from aiohttp import web

from jmap_proxy.errors import UpstreamMalformed
from jmap_proxy.proxy.endpoint import Kind
from jmap_proxy.proxy.headers import to_client
from jmap_proxy.proxy.target import Target, local_location

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.session import Session

SMALL = 64 << 10
"""Bytes of an answer that is sent in one go."""

NO_BODY = frozenset({204, 304})

log = structlog.get_logger("jmap_proxy.proxy")


class CloseDelimitedResponse(web.StreamResponse):
    """A response whose end is the end of the connection (RFC 9112 §6.3): neither a length nor chunks.

    For event streams: a client that reads below the chunked coding cuts events in two otherwise (measured: jmapc).
    """

    _length_check = False

    def __init__(self, *, status: int, reason: str | None) -> None:
        super().__init__(status=status, reason=reason)
        self.force_close()


async def relay(
    request: web.BaseRequest,
    upstream: aiohttp.ClientResponse,
    target: Target,
    session: Session,
    local: Origin,
) -> web.StreamResponse:
    """Pass the answer on.

    If the server breaks off, the client's connection is cut too, so that half a body never looks like a whole one.

    Args:
        request: The client's.
        upstream: The server's answer, its body unread.
        target: What was asked for.
        session: Names the places that a redirect may lead to.
        local: Origin of the proxy as the client sees it.

    Raises:
        UpstreamMalformed: a redirect that leads out of the endpoints; nothing has been sent to the client.
    """
    response = _head(request, upstream, target, session, local)
    if request.method == "HEAD" or upstream.status in NO_BODY:
        return response
    try:
        if isinstance(response, web.Response):
            response.body = await upstream.content.readexactly(upstream.content_length or 0)
            return response
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, TimeoutError, EOFError) as error:
        log.warning("server broke off", path=target.url.partition("?")[0], error=type(error).__name__)
        _cut(request)
        return response
    await response.write_eof()
    return response


def _head(
    request: web.BaseRequest,
    upstream: aiohttp.ClientResponse,
    target: Target,
    session: Session,
    local: Origin,
) -> web.StreamResponse:
    response: web.StreamResponse
    length = upstream.content_length
    if target.kind is Kind.EVENTS and length is None:
        response = CloseDelimitedResponse(status=upstream.status, reason=upstream.reason)
    elif length is not None and length <= SMALL and request.method != "HEAD":
        response = web.Response(status=upstream.status, reason=upstream.reason)
    else:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for name, value in to_client(upstream.headers.items()):
        response.headers.add(name, value)
    if length is not None and upstream.status not in NO_BODY and not isinstance(response, web.Response):
        response.content_length = length
    if "Location" in upstream.headers:
        response.headers["Location"] = _location(upstream, target, session, local)
    return response


def _location(upstream: aiohttp.ClientResponse, target: Target, session: Session, local: Origin) -> str:
    """Where an upload was put, or where to look instead; only ever a local URL."""
    path = local_location(upstream.headers["Location"], target, session)
    if path is None:
        raise UpstreamMalformed(
            f"the server answers {upstream.status} and points out of the endpoints of its Session",
            hint="check the account's server, and its upstream_origins",
        )
    return f"{local}{path}"


def _cut(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()

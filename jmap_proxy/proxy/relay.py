"""The server's answer to the client: piece by piece as it comes, no faster than the client takes it."""

from __future__ import annotations

import contextlib
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
import structlog
from aiohttp import web

from jmap_proxy.errors import UpstreamMalformed, UpstreamUnreachable
from jmap_proxy.proxy.endpoint import Kind
from jmap_proxy.proxy.events import whole_events
from jmap_proxy.proxy.headers import to_client
from jmap_proxy.proxy.target import REDIRECTS, Target, local_location

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.session import Session

SMALL = 64 << 10
"""Bytes of an answer that is sent in one go."""

NO_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

log = structlog.get_logger("jmap_proxy.proxy")


class CloseDelimitedResponse(web.StreamResponse):
    """A response whose end is the end of the connection (RFC 9112 §6.3): neither a length nor chunks.

    For event streams: a client that reads below the chunked coding cuts events in two otherwise (measured: jmapc).
    """

    _length_check = False  # aiohttp's own, made for WebSockets: without it, it adds no Transfer-Encoding

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

    If the server breaks off in the middle, the client's connection is cut too, so that half a body never looks like a
    whole one.

    Args:
        request: The client's.
        upstream: The server's answer, its body unread.
        target: What was asked for.
        session: Names the places that a redirect may lead to.
        local: Origin of the proxy as the client sees it.

    Raises:
        UpstreamMalformed: a redirect that leads out of the endpoints; nothing has been sent to the client.
        UpstreamUnreachable: the server broke off, and nothing has been sent to the client.
    """
    if upstream.status < HTTPStatus.OK:
        raise UpstreamMalformed(f"the server answers {upstream.status} unasked", hint="check the account's server")
    response = _head(request, upstream, target, session, local)
    if request.method == "HEAD" or upstream.status in NO_BODY:
        return response
    try:
        if isinstance(response, web.Response):
            response.body = await upstream.content.readexactly(upstream.content_length or 0)
            return response
        await response.prepare(request)
        if isinstance(response, CloseDelimitedResponse):
            await _relay_events(upstream, response)
        else:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
    except ConnectionResetError:  # the client has left
        raise
    except (aiohttp.ClientError, TimeoutError, EOFError) as error:
        if not response.prepared:
            raise UpstreamUnreachable(
                f"{target.origin} broke off its answer: {type(error).__name__}", hint="check the server and the network"
            ) from None
        log.warning("server broke off", path=target.url.partition("?")[0], error=type(error).__name__)
        _cut(request, hard=not isinstance(response, CloseDelimitedResponse))
        return response
    await response.write_eof()
    return response


async def _relay_events(upstream: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    held = bytearray()
    async for chunk in upstream.content.iter_any():
        seen = len(held)
        held += chunk
        if cut := whole_events(held, seen):
            await response.write(bytes(held[:cut]))
            del held[:cut]
    await response.write(bytes(held))


def _head(
    request: web.BaseRequest,
    upstream: aiohttp.ClientResponse,
    target: Target,
    session: Session,
    local: Origin,
) -> web.StreamResponse:
    response: web.StreamResponse
    length = upstream.content_length
    if target.kind is Kind.EVENTS and length is None and upstream.status == HTTPStatus.OK:
        response = CloseDelimitedResponse(status=upstream.status, reason=upstream.reason)
    elif length is not None and length <= SMALL and request.method != "HEAD":
        response = web.Response(status=upstream.status, reason=upstream.reason)
    else:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for name, value in to_client(upstream.headers.items()):
        response.headers.add(name, value)
    if length is not None and upstream.status not in NO_BODY and not isinstance(response, web.Response):
        response.content_length = length
    location = _location(upstream, target, session, local)
    if location:
        response.headers["Location"] = location
    return response


def _location(upstream: aiohttp.ClientResponse, target: Target, session: Session, local: Origin) -> str:
    """Where to look instead, or where an upload was put; only ever a local URL, "" for none."""
    if "Location" not in upstream.headers:
        return ""
    path = local_location(upstream.headers["Location"], target, session)
    if path is None and upstream.status not in REDIRECTS:
        return ""  # what was done is done; only the pointer is of no use to the client
    if path is None:
        raise UpstreamMalformed(
            f"the server answers {upstream.status} and points out of the endpoints of its Session",
            hint="check the account's server, and its upstream_origins",
        )
    return f"{local}{path}"


def _cut(request: web.BaseRequest, *, hard: bool) -> None:
    """End the client's connection in the middle; `hard` by a reset, which a client of HTTP/1.0 sees as an error too."""
    if request.transport is None:
        return
    if hard:
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):  # the client has just closed it
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.transport.abort()

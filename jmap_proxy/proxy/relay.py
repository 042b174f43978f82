"""The server's answer to the client: piece by piece as it comes, no faster than the client takes it."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
import structlog
from aiohttp import web

from jmap_proxy.errors import UpstreamMalformed, UpstreamUnreachable
from jmap_proxy.proxy.door.cors import cors_fields
from jmap_proxy.proxy.session.target import REDIRECTS, local_location
from jmap_proxy.proxy.wire.cut import cut
from jmap_proxy.proxy.wire.headers import to_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jmap_proxy.proxy.door.access import Visitor
    from jmap_proxy.proxy.forwarding import Forwarding
    from jmap_proxy.proxy.upstream.sender import Answer
    from jmap_proxy.proxy.wire.headers import Field

SMALL = 64 << 10
"""Bytes of an answer that is sent in one go."""

HELD = 1.0
"""Seconds that the head of such an answer waits for the rest; a client must not wait long for its first byte."""

VARY = ("Vary", "Authorization")
"""On every answer: at one URL each account sees its own, and no cache may mix them up (RFC 9111 §4.1)."""

NO_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

log = structlog.get_logger("jmap_proxy.proxy")


async def relay(forwarding: Forwarding, upstream: Answer) -> web.StreamResponse:
    """Pass the answer, its body unread, on.

    If the server breaks off in the middle, the client's connection is cut too, so that half a body never looks like a
    whole one.

    Raises:
        UpstreamMalformed: a redirect that leads out of the endpoints; nothing has been sent to the client.
        UpstreamUnreachable: the server broke off, and nothing has been sent to the client.
    """
    if upstream.status < HTTPStatus.OK:
        raise UpstreamMalformed(f"the server answers {upstream.status} unasked", hint="check the account's server")
    request, target = forwarding.request, forwarding.target
    empty = request.method == "HEAD" or upstream.status in NO_BODY
    whole = not empty and await _comes_at_once(upstream)
    response = _head(forwarding, upstream, whole=whole)
    if empty:
        return response
    try:
        if isinstance(response, web.Response):
            response.body = upstream.content.read_nowait()
            return response
        forwarding.passage.answer(upstream.status)
        await response.prepare(request)
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
        cut(request)
        return response
    await response.write_eof()
    return response


def answer_fields(headers: Mapping[str, str], visitor: Visitor) -> list[Field]:
    """The header fields of an answer for the client, but for its framing and Location."""
    return [*to_client(headers.items()), VARY, *cors_fields(visitor.web_origin)]


async def _comes_at_once(upstream: Answer) -> bool:
    """Whether the answer's body is small, and there or broken off already."""
    length, content = upstream.content_length, upstream.content
    if length is None or length > SMALL:
        return False
    if content.is_eof():
        return True
    if content.exception() is None:  # aiohttp's `wait_eof` would not tell that one
        with contextlib.suppress(aiohttp.ClientError):
            try:
                async with asyncio.timeout(HELD):
                    await content.wait_eof()
            except TimeoutError:
                return False
    return True


def _head(forwarding: Forwarding, upstream: Answer, *, whole: bool) -> web.StreamResponse:
    length = upstream.content_length
    kind = web.Response if whole else web.StreamResponse
    response = kind(status=upstream.status, reason=upstream.reason)
    response.headers.extend(answer_fields(upstream.headers, forwarding.visitor))
    if length is not None and upstream.status not in NO_BODY and not whole:
        response.content_length = length
    if not forwarding.request.content.is_eof():
        response.force_close()  # the server has seen enough of the request; its rest is of no use to anybody
    location = _location(forwarding, upstream)
    if location:
        response.headers["Location"] = location
    return response


def _location(forwarding: Forwarding, upstream: Answer) -> str:
    """Where to look instead, or where an upload was put; only ever a local URL, "" for none."""
    if "Location" not in upstream.headers:
        return ""
    path = local_location(upstream.headers["Location"], forwarding.target, forwarding.session)
    if path is None and upstream.status not in REDIRECTS:
        return ""  # what was done is done; only the pointer is of no use to the client
    if path is None:
        raise UpstreamMalformed(
            f"the server answers {upstream.status} and points out of the endpoints of its Session",
            hint="check the account's server, and its upstream_origins",
        )
    return f"{forwarding.visitor.local}{path}"

"""Errors as answers: RFC 9457 problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from aiohttp import web

from jmap_proxy.proxy.wire.headers import SAFE_FOR_BROWSERS
from jmap_proxy.request_id import current_request

if TYPE_CHECKING:
    from jmap_proxy.errors import JmapProxyError

CONTENT_TYPE = "application/problem+json"


def problem_response(error: JmapProxyError) -> web.Response:
    """The error as problem details, with the header fields that belong to it, and the id by which the log knows it."""
    request = current_request()
    occurrence = {"instance": request.urn} if request else {}
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(error.problem() | occurrence),
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **dict(SAFE_FOR_BROWSERS), **error.headers()},
    )


def problem_bytes(error: JmapProxyError) -> bytes:
    """The same as a whole last answer of HTTP/1.1, for a connection on which there is no request to answer."""
    response = problem_response(error)
    body = cast("bytes", response.body)
    fields = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body

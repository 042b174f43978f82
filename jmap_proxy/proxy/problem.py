"""Errors as answers: RFC 9457 problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from jmap_proxy.proxy.headers import SAFE_FOR_BROWSERS

if TYPE_CHECKING:
    from jmap_proxy.errors import JmapProxyError


def problem_response(error: JmapProxyError) -> web.Response:
    """The error as problem details, with the header fields that belong to it."""
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(error.problem()),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **dict(SAFE_FOR_BROWSERS), **error.headers()},
    )

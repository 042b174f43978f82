"""The connections to servers, as all accounts share them that trust the same authorities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from jmap_proxy.proxy.upstream.connections import Pool

if TYPE_CHECKING:
    import ssl

CONNECTION_LIFE = 15.0
"""Seconds that an idle connection is kept; short, since a POST on one just closed by the server fails."""

ADDED_UNASKED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Fields that aiohttp would add to a request that has none of them."""


def upstream_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session that sends and gives what it is told: no cookies, no environment, nothing added, nothing decoded.

    Its maker closes it.

    Args:
        tls: Whom to trust, None for whom the system trusts.
    """
    return aiohttp.ClientSession(
        connector=Pool(ssl=tls or True, limit=0, keepalive_timeout=CONNECTION_LIFE),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=ADDED_UNASKED,
    )

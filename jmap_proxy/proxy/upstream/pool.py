"""The connections to servers. What relies on aiohttp's inner names (`_factory`, `_loop`, `_payload`: 3.14) is here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from jmap_proxy.proxy.wire.broken_body import break_body

if TYPE_CHECKING:
    import asyncio
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


class Pool(aiohttp.TCPConnector):
    """Connections that are used again only if nothing has come on them that was not asked for.

    aiohttp gives such an answer to whoever sends the next request on the connection, perhaps another account.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = functools.partial(_connection, self._loop)


class _Connection(ResponseHandler):
    def is_connected(self) -> bool:
        """Whether it is open and in step; asked before a connection is used again."""
        return super().is_connected() and not self.should_close

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell the answer's body too when its bytes have become unreadable: aiohttp lets it wait for ever."""
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and self._payload is not None:
            break_body(self._payload, aiohttp.ClientPayloadError("the answer cannot be read"))


def _connection(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Connection(loop)

"""Two ways to send a request that do the same: aiohttp's ordinary one, and the short one of `direct`.

The short one takes what most requests are: no body, or a small one that is there. All others go the ordinary way, and
so does everything where aiohttp is not the one whose inner names `direct` knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from jmap_proxy.proxy.upstream import direct
from jmap_proxy.proxy.upstream.connections import Pool

if TYPE_CHECKING:
    from aiohttp import StreamReader
    from aiohttp.connector import Connection
    from aiohttp.http import HttpVersion
    from multidict import CIMultiDictProxy

    from jmap_proxy.proxy.upstream.body import Body
    from jmap_proxy.proxy.upstream.connections import Asker
    from jmap_proxy.proxy.wire.headers import Field

SMALL = 64 << 10
"""Bytes of a body that is sent in one go with the head; a socket takes as many at once."""

REPEATED = frozenset({"GET", "HEAD"})
"""Methods of requests that are sent once more if a connection that had been idle turns out to be closed."""


class Answer(Protocol):
    """A server's answer whose head has come: `aiohttp.ClientResponse`, or as much of it as is used."""

    @property
    def status(self) -> int:
        """By RFC 9110 §15."""

    @property
    def reason(self) -> str | None:
        """Phrase of the status line."""

    @property
    def version(self) -> HttpVersion | None:
        """Of HTTP."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """Header fields."""

    @property
    def content(self) -> StreamReader:
        """The body, as it comes."""

    @property
    def content_length(self) -> int | None:
        """Bytes of the body by Content-Length, None where that is not told."""

    @property
    def connection(self) -> Connection | None:
        """It came by this one; None where the answer has come whole."""

    def close(self) -> None:
        """Give up what has not come yet."""


class Sender:
    """Sends requests over a session's connections.

    Args:
        http: Without cookies, environment proxies or decompression; its maker owns it.
        short: Whether the short way may be taken; None: where aiohttp is the one that it is made for.
    """

    def __init__(self, http: aiohttp.ClientSession, *, short: bool | None = None) -> None:
        self._http = http
        wanted = direct.is_known(aiohttp.__version__) if short is None else short
        pool = http.connector
        self._direct = direct.Direct(pool) if wanted and isinstance(pool, Pool) else None

    async def request(
        self, method: str, url: str, fields: list[Field], body: Body | None, times: aiohttp.ClientTimeout
    ) -> Answer:
        """Send a request and give its answer, once the head is there. No redirect is followed.

        Args:
            method: Of the request.
            url: Sent as it is, without any further quoting.
            fields: Header fields, but for Host and what frames the body.
            body: Of the request, None for none.
            times: Its `total`, `connect` and `sock_read` count.

        Raises:
            aiohttp.ClientError, TimeoutError, OSError: no answer.
            ValueError: a control character in the head, or a host name that cannot be encoded.
        """
        if body is not None and body.length is not None:
            fields = [*fields, ("Content-Length", str(body.length))]
        data = b"" if body is None else body.whole
        if self._direct is None or times.total is not None or data is None or len(data) > SMALL:
            return await self._ordinary(method, url, fields, body, times)
        if method not in REPEATED:
            return await self._direct.request(method, url, fields, data, times)
        try:
            return await self._direct.request(method, url, fields, data, times)
        except (aiohttp.ClientConnectorError, TimeoutError):
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await self._direct.request(method, url, fields, data, times)

    def prepare(self, method: str, url: str, fields: list[Field]) -> direct.Prepared | None:
        """What requests have in common that are to be sent by `begin`; None where there is no short way.

        Raises:
            ValueError: as `request`.
        """
        return None if self._direct is None else self._direct.prepare(method, url, fields)

    def begin(self, prepared: direct.Prepared, rest: bytes, silence: float | None, asker: Asker) -> direct.Sent | None:
        """Send a request at once, or not at all; see `Direct.begin`."""
        return None if self._direct is None else self._direct.begin(prepared, rest, silence, asker)

    async def _ordinary(
        self, method: str, url: str, fields: list[Field], body: Body | None, times: aiohttp.ClientTimeout
    ) -> Answer:
        return await self._http.request(
            method,
            URL(url, encoded=True),
            headers=CIMultiDict(fields),
            data=None if body is None else body.chunks(),
            allow_redirects=False,
            timeout=times,
        )

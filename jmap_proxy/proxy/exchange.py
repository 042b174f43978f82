"""One request to the JMAP server: with a valid token, and once more with another one if that is refused.

The token is added here and nowhere else, and only to a request for an allowed origin. aiohttp's exceptions are
translated here.
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from jmap_proxy.errors import TokenDelayed, UpstreamOriginRefused, UpstreamUnreachable
from jmap_proxy.origins import Origin, parse_origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jmap_proxy.proxy.body import Body
    from jmap_proxy.proxy.headers import Field
    from jmap_proxy.proxy.source import TokenSource

STREAM = aiohttp.ClientTimeout(total=None, sock_connect=4)
"""For streams that may be silent for long."""

PROMPT = aiohttp.ClientTimeout(total=30, sock_connect=4)
"""Seconds for what is small and wanted at once: the Session."""

ANSWERED = aiohttp.ClientTimeout(total=None, sock_connect=4, sock_read=120)
"""Seconds to connect, and from one piece of the answer to the next."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it is to be sent, but for the token."""

    method: str
    url: str
    fields: list[Field] = field(repr=False)
    body: Body | None = None
    timeout: aiohttp.ClientTimeout = ANSWERED


class Exchange:
    """Sends one account's requests.

    Args:
        http: Session without cookies, environment proxies or decompression; its maker owns it.
        source: Gives the tokens.
        allowed: Origins that may get the token.
    """

    def __init__(self, http: aiohttp.ClientSession, source: TokenSource, allowed: frozenset[Origin]) -> None:
        self._http = http
        self._source = source
        self._allowed = allowed

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """The server's answer, never a 401; it is released when the context ends.

        Raises:
            TokenError: there is no token; nothing was sent.
            UpstreamOriginRefused: the URL is on an origin that may not get the token; nothing was sent.
            UpstreamUnreachable: no connection, or it broke before the answer.
            UpstreamRefusedToken: 401 also with the second token.
        """
        origin = parse_origin(call.url)
        if origin not in self._allowed or not origin.is_safe_for_secrets:
            raise UpstreamOriginRefused(f"{origin} may not get the token", hint="see the account's upstream_origins")
        response = await self._send_with_retry(call)
        try:
            yield response
        finally:
            response.close()  # a connection whose answer has come whole is back in the pool already

    async def _send_with_retry(self, call: Call) -> aiohttp.ClientResponse:
        token = await self._source.ensure_valid_token()
        response = await self._send(call, token)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        response.close()
        token = await self._source.replace_rejected(token)
        if call.body is not None and not await call.body.can_replay():
            raise TokenDelayed(
                "the server refused the token in the middle of an upload that is too large to be sent again",
                hint="send it again, the token is fresh now; limits.upload_replay sets the size",
                retry_after=1,
            )
        response = await self._send(call, token)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        response.close()
        raise self._source.refused_again(token)

    async def _send(self, call: Call, token: str) -> aiohttp.ClientResponse:
        headers = CIMultiDict(call.fields)
        headers["Authorization"] = f"Bearer {token}"
        if call.body is not None and call.body.length is not None:
            headers["Content-Length"] = str(call.body.length)
        try:
            return await self._http.request(
                call.method,
                URL(call.url, encoded=True),
                headers=headers,
                data=None if call.body is None else call.body.chunks(),
                allow_redirects=False,
                timeout=call.timeout,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ValueError) as error:
            # ValueError: by it aiohttp tells a field with control characters, and idna a host that it cannot encode
            raise _translate(error, parse_origin(call.url)) from None


def _translate(error: Exception, origin: Origin) -> UpstreamUnreachable:
    """What the client is told; the exception's own text is left out, since it can hold header fields."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return UpstreamUnreachable(
            f"{origin}: the TLS certificate is not good", hint="for a private CA set the account's ca_file"
        )
    if isinstance(error, TimeoutError):
        return UpstreamUnreachable(f"{origin} does not answer in time", hint="try again", retry_after=5)
    return UpstreamUnreachable(f"{origin}: {type(error).__name__}", hint="check the server and the network")

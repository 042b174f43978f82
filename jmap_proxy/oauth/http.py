"""HTTP towards identity providers: no redirects, small answers, short waits, foreign exceptions translated here."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

from jmap_proxy.errors import AnswerLost, ProviderError
from jmap_proxy.origins import check_text, parse_origin
from jmap_proxy.unread import Connector

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine, Mapping

ANSWER_LIMIT = 1 << 20
"""Bytes of an answer that are read at most; real metadata and key sets stay under 100 kB."""

FIELDS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "jmap-proxy"}
"""Sent with every request; without the second any coding would be welcome, without the third some firewalls refuse."""

TIMEOUT = aiohttp.ClientTimeout(total=15, connect=10, sock_connect=5)

SECOND_LOOK = 0.5
"""Seconds more for an answer that may have come while the process stood still (suspended, paused, swapped out).

When it goes on, its timers are over before it has read anything, and an answer with a rotated token would be lost.
"""

LONGEST_SHOWN = 200
"""Characters of a provider's text that an error repeats."""

NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    UnicodeError,  # a host that no IDNA knows
)
"""Errors before any byte of a request has left."""


def provider_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session for requests to providers; its maker closes it.

    Each request has a connection of its own: a kept one that the provider closes at that moment would look like an
    answer that was lost, with a token in it. There is no limit that a dead provider could use up for the others.

    Args:
        tls: Whom to trust, None for whom the system trusts.
    """
    return aiohttp.ClientSession(
        connector=Connector(ssl=tls or True, limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: status, header fields (case-insensitive) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ProviderHttp:
    """Requests to an identity provider.

    Args:
        session: Without cookies, environment proxies or decompression; its maker owns it.
        timeout: How long to wait for an answer (total), for a connection with the name's resolution (connect) and
            without it (sock_connect).
    """

    def __init__(self, session: aiohttp.ClientSession, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
        self._session = session
        self._timeout = timeout

    async def get(self, url: str, *, bearer: str = "") -> Answer:
        """GET a JSON document, with a token that opens it if there is one. Raises ProviderError, as `post_form`."""
        return await self._send("GET", url, None, _authorized(bearer))

    async def delete(self, url: str, *, bearer: str) -> Answer:
        """DELETE what the token opens. Raises ProviderError, as `post_form`."""
        return await self._send("DELETE", url, None, _authorized(bearer))

    async def post_json(self, url: str, document: Mapping[str, Any]) -> Answer:
        """POST a JSON document. Raises ProviderError, as `post_form`."""
        return await self._send("POST", url, json.dumps(document).encode(), {"Content-Type": "application/json"})

    async def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """POST a form (RFC 6749 appendix B).

        Raises:
            ProviderError: an unsafe URL, no connection, a TLS error.
            AnswerLost: the request may have arrived, but no whole answer came, or too long a one.
        """
        fields = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        return await self._send("POST", url, urlencode(form).encode(), fields)

    async def _send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        check_endpoint(url)
        try:
            return await self._in_time(self._exchange(method, url, body, headers))
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or "it is not for this name"
            raise ProviderError(
                f"{_place(url)}: the certificate (TLS) is not good: {reason}",
                hint="for a private CA set the account's ca_file",
            ) from None
        except aiohttp.ClientSSLError:
            raise ProviderError(
                f"{_place(url)}: nothing speaks TLS there as it should", hint="check the issuer and its port"
            ) from None
        except NOT_SENT as error:
            raise ProviderError(
                f"{_place(url)}: {_why_not_sent(error)}", hint="check the issuer and the network", retry_after=1
            ) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise AnswerLost(
                f"{_place(url)}: {type(error).__name__}", hint="check the provider and the network", retry_after=1
            ) from None

    async def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        async with self._session.request(
            method,
            url,
            data=body,
            headers={**FIELDS, **headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._timeout.connect, sock_connect=self._timeout.sock_connect
            ),
        ) as response:
            return Answer(response.status, response.headers, await _read(response.content))

    async def _in_time(self, exchange: Coroutine[Any, Any, Answer]) -> Answer:
        """What the exchange gives. Raises TimeoutError if it takes longer than it may."""
        task = asyncio.create_task(exchange)
        try:
            for seconds in (self._timeout.total, SECOND_LOOK):
                done, _ = await asyncio.wait([task], timeout=seconds)
                if done:
                    return task.result()
            raise TimeoutError
        finally:
            task.cancel()


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise AnswerLost(f"the provider answers with more than {ANSWER_LIMIT} bytes")
    return bytes(body)


def check_endpoint(url: str) -> None:
    """See that secrets may be sent to this URL, and that it can be shown as it is.

    Raises:
        ProviderError: not https, and not plain http to loopback either; or it holds what no URL of an endpoint does: a
            fragment (RFC 6749 §3.1, §3.2), control characters.
    """
    try:
        check_text(url)
        origin = parse_origin(url)
    except ValueError as error:
        raise ProviderError(f"{url[:LONGEST_SHOWN]!a}: {error}", hint="give an https URL") from None
    if not origin.is_safe_for_secrets:
        raise ProviderError(
            f"{origin} is plain http and not on this machine; no secret is sent there", hint="use https"
        )


def _authorized(bearer: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer}"} if bearer else {}


def _why_not_sent(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name is not known (DNS)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "nothing answers there"
    return type(error).__name__


def _place(url: str) -> str:
    """The URL without its query, which can hold secrets."""
    return url.partition("?")[0]

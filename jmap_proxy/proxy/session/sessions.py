"""Fetching an account's Session, and knowing the latest one."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
import structlog

from jmap_proxy.errors import (
    UpstreamBusy,
    UpstreamError,
    UpstreamMalformed,
    UpstreamOriginRefused,
    UpstreamSessionRefused,
    UpstreamSlow,
    UpstreamUnreachable,
)
from jmap_proxy.origins import locate
from jmap_proxy.proxy.session.session import Session, read_session
from jmap_proxy.proxy.session.shared_fetches import SharedFetches
from jmap_proxy.proxy.session.target import REDIRECTS
from jmap_proxy.proxy.upstream.exchange import PROMPT, Call
from jmap_proxy.retry_after import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.proxy.session.policy import Policy
    from jmap_proxy.proxy.upstream.exchange import Exchange
    from jmap_proxy.proxy.upstream.sender import Answer

SIZE_LIMIT = 8 << 20
SMALL = 256 << 10
"""Bytes of a Session that is read at once; a larger one (thousands of accounts) would keep all other requests waiting.
"""
MOST_REDIRECTS = 5
ACCEPT = "application/json"
BUSY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
SHORT_WAIT = 5
LONGEST_WAIT = 600
"""Seconds that a client is told to wait for a busy server: where the server does not say, and at most."""

log = structlog.get_logger("jmap_proxy.proxy")


class Sessions:
    """One account's Session.

    Args:
        account: For the log.
        exchange: Sends the requests.
        url: Where the Session is asked for.
        policy: What the account allows.
        clock: Epoch seconds.

    Attributes:
        latest: The latest Session, None as long as there is none.
    """

    def __init__(
        self,
        account: str,
        exchange: Exchange,
        url: str,
        policy: Policy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._exchange = exchange
        self._url = url
        self._policy = policy
        self.latest: Session | None = None
        self._clock = clock
        self._fetches = SharedFetches(self._fetch, exchange.first_byte, f"Session of {account}")

    async def known(self) -> Session:
        """The latest Session; fetched only if there is none yet (a client may have kept URLs over a restart)."""
        return self.latest or await self.fetch()

    async def fetch(self, accept: str = ACCEPT) -> Session:
        """The Session as it is now, asked for with the client's Accept (James: jmapVersion).

        Who asks while it is being fetched gets the same one. A server that takes longer than the client may wait
        stays usable: the fetch goes on, and the client that comes again finds it.

        Raises:
            UpstreamError, TokenError: it cannot be had.
            UpstreamSlow: not yet.
        """
        try:
            return await self._fetches.get(accept)
        except TimeoutError:
            raise UpstreamSlow(str(self._policy.server), self._exchange.first_byte) from None

    async def close(self) -> None:
        """End what is still being fetched."""
        await self._fetches.close()

    async def _fetch(self, accept: str) -> Session:
        """Ask for the Session. Redirects are followed, a few, to origins that may get the token."""
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            call = Call("GET", url, [("Accept", accept), ("Accept-Encoding", "identity")], timeout=PROMPT)
            async with self._exchange.send(call) as response:
                if response.status in REDIRECTS:
                    url = self._redirected(url, response.headers.get("Location", ""))
                    continue
                body = await _read(response, self._clock)
            session = await self._understood(body, url)
            self._take(session)
            return session
        raise UpstreamMalformed("the server redirects the Session without end", hint="check the account's server")

    async def _understood(self, body: bytes, url: str) -> Session:
        if len(body) <= SMALL:
            return read_session(body, url, self._policy)
        return await asyncio.to_thread(read_session, body, url, self._policy)

    def _redirected(self, url: str, location: str) -> str:
        try:
            origin, rest = self._policy.place(*locate(location, url))
        except ValueError as error:
            raise UpstreamMalformed(f"the server redirects the Session badly: Location: {error}") from None
        if not self._policy.trusts(origin):
            raise UpstreamOriginRefused(
                f"the server redirects the Session to {origin}, which may not get the token",
                hint=self._policy.hint_against(origin),
            )
        return f"{origin}{rest}"

    def _take(self, session: Session) -> None:
        if session.dropped and (self.latest is None or self.latest.dropped != session.dropped):
            for reason in session.dropped:
                log.warning("capability left out of the Session", account=self._account, reason=reason)
        self.latest = session


async def _read(response: Answer, clock: Callable[[], float]) -> bytes:
    if response.status != HTTPStatus.OK:
        raise _refused(response, clock())
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UpstreamMalformed("the server compresses the Session although it was asked not to")
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > SIZE_LIMIT:
                raise UpstreamMalformed(f"the server's Session is larger than {SIZE_LIMIT} bytes")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UpstreamUnreachable(f"the Session broke off: {type(error).__name__}") from None
    return bytes(body)


def _refused(response: Answer, now: float) -> UpstreamError:
    if response.status not in BUSY:
        return UpstreamSessionRefused(response.status)
    detail = f"the server answers {response.status} to the request for its Session"
    told = parse_retry_after(response.headers.get("Retry-After"), now)
    wait = SHORT_WAIT if told is None else min(told, LONGEST_WAIT)
    return UpstreamBusy(detail, hint="try again later", retry_after=wait)

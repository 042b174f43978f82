"""Fetching an account's Session, and knowing the latest one."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
import structlog

from jmap_proxy.errors import JmapProxyError, UpstreamBusy, UpstreamError, UpstreamMalformed, UpstreamUnreachable
from jmap_proxy.proxy.exchange import PROMPT, Call
from jmap_proxy.proxy.session import Policy, Session, locate, read_session
from jmap_proxy.proxy.target import REDIRECTS

if TYPE_CHECKING:
    from jmap_proxy.proxy.exchange import Exchange

SIZE_LIMIT = 8 << 20
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
    """

    def __init__(self, account: str, exchange: Exchange, url: str, policy: Policy) -> None:
        self._account = account
        self._exchange = exchange
        self._url = url
        self._policy = policy
        self._latest: Session | None = None
        self._first: asyncio.Task[Session] | None = None

    async def known(self) -> Session:
        """The latest Session; fetched only if there is none yet (a client may have kept URLs over a restart)."""
        if self._latest is not None:
            return self._latest
        if self._first is None:
            self._first = asyncio.create_task(self.fetch(), name=f"first Session of {self._account}")
            self._first.add_done_callback(self._end_first)
        try:
            return await asyncio.shield(self._first)  # all share it, its failure too, and none can cancel it
        except JmapProxyError as error:
            raise error.anew() from None

    async def fetch(self, accept: str = ACCEPT) -> Session:
        """The Session as it is now, asked for with the client's Accept (James: jmapVersion).

        Redirects are followed, a few, to origins that may get the token.

        Raises:
            UpstreamError, TokenError: it cannot be had.
        """
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            call = Call("GET", url, [("Accept", accept), ("Accept-Encoding", "identity")], timeout=PROMPT)
            async with self._exchange.send(call) as response:
                if response.status in REDIRECTS:
                    url = self._redirected(url, response.headers.get("Location", ""))
                    continue
                body = await _read(response)
            session = read_session(body, url, self._policy)
            self._take(session)
            return session
        raise UpstreamMalformed("the server redirects the Session without end", hint="check the account's server")

    async def close(self) -> None:
        """End a first fetch that is still going on."""
        first = self._first
        if first is not None:
            first.cancel()
            await asyncio.wait([first])

    def _redirected(self, url: str, location: str) -> str:
        try:
            origin, rest = locate(location, url)
        except ValueError as error:
            raise UpstreamMalformed(f"the server redirects the Session badly: Location: {error}") from None
        return f"{self._policy.server if self._policy.rewrite == 'force' else origin}{rest}"

    def _end_first(self, task: asyncio.Task[Session]) -> None:
        self._first = None
        if not task.cancelled():
            task.exception()  # seen, even if everyone who waited has left

    def _take(self, session: Session) -> None:
        if session.dropped and (self._latest is None or self._latest.dropped != session.dropped):
            for reason in session.dropped:
                log.warning("capability left out of the Session", account=self._account, reason=reason)
        self._latest = session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if response.status != HTTPStatus.OK:
        raise _refused(response)
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


def _refused(response: aiohttp.ClientResponse) -> UpstreamError:
    detail = f"the server answers {response.status} to the request for its Session"
    if response.status not in BUSY:
        return UpstreamMalformed(detail, hint="check the account's server")
    told = response.headers.get("Retry-After", "")
    seconds = int(told) if re.fullmatch(r"[0-9]{1,9}", told) else SHORT_WAIT  # the other form, a date, is rare
    return UpstreamBusy(detail, hint="try again later", retry_after=min(seconds, LONGEST_WAIT))

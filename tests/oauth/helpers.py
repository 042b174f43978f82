"""What the OAuth tests share: a client's parts put together, and made-up tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jmap_proxy.oauth.client import OAuthClient
from jmap_proxy.oauth.discovery import Discovery
from jmap_proxy.oauth.http import ProviderHttp
from jmap_proxy.oauth.sign_in import SignIn
from jmap_proxy.oauth.token_endpoint import TokenEndpoint
from jmap_proxy.tokens.tokenset import TokenSet
from tests.support.clock import Clock
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientSession

CLIENT_ID = "jmap-proxy"


class Parts:
    """One OAuth client, ready to use."""

    def __init__(self, session: ClientSession, clock: Callable[[], float], issuer: str, **client: Any) -> None:
        self.client = OAuthClient(issuer=issuer, **{"client_id": CLIENT_ID, "scopes": ("openid",), **client})
        self._clock = clock
        self.http = ProviderHttp(session)
        self.discovery = Discovery(self.http, clock)
        self.endpoint = TokenEndpoint(self.client, self.http, self.discovery, clock)
        self.naps: list[float] = []
        self.flow = SignIn(self.client, self.http, self.discovery, self.endpoint, clock, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        """Note how long it would be; a clock that can be set goes on by it."""
        self.naps.append(seconds)
        if isinstance(self._clock, Clock):
            self._clock.now += seconds
        await asyncio.sleep(0)

    async def sign_in(self, **options: Any) -> tuple[TokenSet, str]:
        """Sign in with the robot browser; the tokens and the last page."""
        browser = RobotBrowser()
        try:
            tokens = await self.flow.by_browser("alice", browser.open, **options)
        finally:
            pages = await browser.pages()
        return tokens, pages[0]


def token_set(issuer: str, **changes: Any) -> TokenSet:
    """Made-up tokens of that issuer."""
    fields: dict[str, Any] = {
        "account": "alice",
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "access_token": "access-secret",
        "refresh_token": "refresh-secret",
        "sign_in_id": "one",
        "generation": 1,
        "obtained_at": 0.0,
        "expires_at": 60.0,
    }
    return TokenSet(**{**fields, **changes})

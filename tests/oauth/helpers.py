"""What the OAuth tests share: a client's parts put together, and a server that answers as it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from jmap_proxy.oauth.client import OAuthClient
from jmap_proxy.oauth.discovery import Discovery
from jmap_proxy.oauth.http import ProviderHttp
from jmap_proxy.oauth.sign_in import SignIn
from jmap_proxy.oauth.token_endpoint import TokenEndpoint
from jmap_proxy.sandbox import browse
from jmap_proxy.sandbox.listener import Listener
from jmap_proxy.tokens.tokenset import TokenSet

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from aiohttp import ClientSession

CLIENT_ID = "jmap-proxy"


class Parts:
    """One OAuth client, ready to use."""

    def __init__(self, session: ClientSession, clock: Callable[[], float], issuer: str, **client: Any) -> None:
        self.client = OAuthClient(issuer=issuer, client_id=CLIENT_ID, **{"scopes": ("openid",), **client})
        self.http = ProviderHttp(session)
        self.discovery = Discovery(self.http, clock)
        self.endpoint = TokenEndpoint(self.client, self.http, self.discovery, clock)
        self.flow = SignIn(self.client, self.http, self.discovery, self.endpoint, clock)

    async def sign_in(self, **options: Any) -> tuple[TokenSet, str]:
        """Sign in with the robot browser; the tokens and the last page."""
        visits: list[asyncio.Task[tuple[int, str]]] = []
        try:
            tokens = await self.flow.by_browser(
                "alice", lambda url: visits.append(asyncio.create_task(browse(url))), **options
            )
        finally:
            pages = await asyncio.gather(*visits)
        return tokens, pages[0][1]


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


@dataclass
class Scripted:
    """A server with an answer for each path; it keeps the header fields of what it is asked."""

    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    ssl_context: ssl.SSLContext | None = None
    origin: str = ""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._listener = Listener(app, ssl_context=self.ssl_context)
        self.origin = await self._listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.stop()

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        status, body, headers = self.answers.get(request.path, (404, b"", {}))
        return web.Response(status=status, body=body, headers=headers)

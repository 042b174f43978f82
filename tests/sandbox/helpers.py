"""A hand-set clock and a hand-driven OAuth client for the sandbox's own tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from jmap_proxy.sandbox.grants import challenge_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider

VERIFIER = "v" * 43
CALLBACK = "http://127.0.0.1:4321/callback"
GOOD = {"Authorization": "Bearer good"}


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds, for two seconds at most."""
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - the servers offer values to look at, not events
            await asyncio.sleep(0.001)


class Person:
    """Signs in and asks for tokens, with any parameter replaced (or removed, by None)."""

    def __init__(self, idp: IdentityProvider, http: ClientSession) -> None:
        self._idp = idp
        self._http = http

    async def authorize(self, *, method: str = "GET", **changes: Any) -> tuple[int, dict[str, str]]:
        """Send an authorization request; return the status and the parameters of the redirect back."""
        params: dict[str, Any] = {
            "response_type": "code",
            "client_id": "jmap-proxy",
            "redirect_uri": CALLBACK,
            "scope": "openid offline_access",
            "state": "st",
            "nonce": "no",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        sent = {key: value for key, value in params.items() if value is not None}
        url = f"{self._idp.issuer}/authorize"
        where: dict[str, Any] = {"params": sent} if method == "GET" else {"data": sent}
        async with self._http.request(method, url, allow_redirects=False, **where) as response:
            location = response.headers.get("Location", "")
            return response.status, dict(parse_qsl(urlsplit(location).query))

    async def token(self, *, headers: dict[str, str] | None = None, **form: Any) -> tuple[int, dict[str, Any]]:
        """Send a token request; return the status and the JSON answer."""
        sent = {"client_id": "jmap-proxy", **form}
        data = {key: value for key, value in sent.items() if value is not None}
        async with self._http.post(f"{self._idp.issuer}/token", data=data, headers=headers) as response:
            assert response.headers["Cache-Control"] == "no-store"
            return response.status, await response.json()

    async def redeem(self, code: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Exchange a code."""
        form: dict[str, Any] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **changes,
        }
        return await self.token(**form)

    async def refresh(self, token: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Exchange a refresh token."""
        form: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": token, **changes}
        return await self.token(**form)

    async def sign_in(self, **changes: Any) -> dict[str, Any]:
        """Sign in; return the token answer."""
        _, back = await self.authorize(**changes)
        status, answer = await self.redeem(back["code"])
        assert status == 200
        return answer

"""Signing in: authorization code with PKCE over a loopback redirect (RFC 8252, OAuth 2.0 for native apps)."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import SignInError
from jmap_proxy.oauth.authorization import Attempt, authorization_url, is_for, read_callback
from jmap_proxy.oauth.id_token import check_id_token
from jmap_proxy.oauth.loopback import LoopbackRedirect
from jmap_proxy.tokens.outcome import Refreshed, Rejected
from jmap_proxy.tokens.tokenset import TokenSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.oauth.client import OAuthClient
    from jmap_proxy.oauth.discovery import Discovery
    from jmap_proxy.oauth.http import ProviderHttp
    from jmap_proxy.oauth.token_endpoint import TokenEndpoint


log = structlog.get_logger("jmap_proxy.oauth")


class SignIn:
    """One client's way to sign in at its provider.

    Args:
        client: Who asks, and for what.
        http: For the key set.
        discovery: Knows the endpoints.
        endpoint: Exchanges the code.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        client: OAuthClient,
        http: ProviderHttp,
        discovery: Discovery,
        endpoint: TokenEndpoint,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._http = http
        self._discovery = discovery
        self._endpoint = endpoint
        self._clock = clock

    async def by_browser(self, account: str, show_url: Callable[[str], None], *, login_hint: str = "") -> TokenSet:
        """Sign in: hand the URL to `show_url`, wait for the browser to come back, exchange the code.

        Returns:
            The first generation of tokens; nothing is saved yet.

        Raises:
            SignInError: refused, or an answer that does not hold.
            ProviderError: the provider cannot be reached or its metadata cannot be trusted.
        """
        metadata = await self._discovery.metadata(self._client.issuer)
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            code_verifier=secrets.token_urlsafe(64),
        )
        async with LoopbackRedirect(
            lambda parameters: is_for(parameters, attempt),
            lambda parameters: read_callback(parameters, metadata),
        ) as redirect:
            uri = redirect.redirect_uri
            show_url(authorization_url(metadata, self._client, attempt, redirect_uri=uri, login_hint=login_hint))
            code = await redirect.wait()
        asked_at = self._clock()
        answer = await self._endpoint.exchange_code(code, redirect_uri=uri, code_verifier=attempt.code_verifier)
        if not isinstance(answer, Refreshed):
            raise SignInError(_refusal(answer.error if isinstance(answer, Rejected) else answer.reason))
        subject = await self._subject(answer.id_token, metadata.jwks_uri, attempt.nonce)
        return self._first_generation(account, answer, subject, asked_at)

    async def _subject(self, id_token: str, jwks_uri: str, nonce: str) -> str:
        """`sub` of a checked ID token; "" where none came, since plain OAuth providers send none."""
        if not id_token:
            if "openid" in self._client.scopes:
                log.warning("the provider sent no ID token although openid was asked for", issuer=self._client.issuer)
            return ""
        if not jwks_uri:
            raise SignInError("the provider sent an ID token, but names no keys (jwks_uri) to check it with")
        answer = await self._http.get(jwks_uri)
        try:
            jwks = json.loads(answer.body) if answer.status == HTTPStatus.OK else None
        except (ValueError, RecursionError):
            jwks = None
        if not isinstance(jwks, dict):
            raise SignInError(f"the provider's keys cannot be read: {jwks_uri} answers {answer.status}")
        claims = check_id_token(
            id_token,
            jwks,
            issuer=self._client.issuer,
            client_id=self._client.client_id,
            nonce=nonce,
            now=self._clock(),
        )
        return str(claims["sub"])

    def _first_generation(self, account: str, answer: Refreshed, subject: str, asked_at: float) -> TokenSet:
        return TokenSet(
            account=account,
            issuer=self._client.issuer,
            client_id=self._client.client_id,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            scope=answer.scope,
            subject=subject,
            sign_in_id=secrets.token_hex(8),
            signed_in_at=asked_at,
            generation=1,
            obtained_at=asked_at,
            expires_at=asked_at + answer.life,
        )


def _refusal(reason: str) -> str:
    return f"the provider did not give tokens for the code: {reason}"

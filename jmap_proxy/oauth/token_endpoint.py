"""Requests to the token endpoint (RFC 6749 §4.1.3 and §6) and the revocation endpoint (RFC 7009)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from jmap_proxy.errors import AnswerLost, ProviderError
from jmap_proxy.oauth.answer import parse_token_answer
from jmap_proxy.tokens.outcome import Outcome, Transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.oauth.client import OAuthClient
    from jmap_proxy.oauth.discovery import Discovery
    from jmap_proxy.oauth.http import ProviderHttp
    from jmap_proxy.tokens.tokenset import TokenSet


MOVED = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
    }
)
"""Statuses by which an endpoint is not where the metadata said; no redirect is followed with a secret."""


class TokenEndpoint:
    """One client at one provider.

    Args:
        client: Who asks.
        http: For the requests.
        discovery: Knows the endpoints.
        clock: Epoch seconds.
    """

    def __init__(
        self, client: OAuthClient, http: ProviderHttp, discovery: Discovery, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._http = http
        self._discovery = discovery
        self._clock = clock

    async def refresh(self, tokens: TokenSet) -> Outcome:
        """Ask for new tokens with the refresh token. Never raises ProviderError: that is `Transient`.

        A refresh token goes to the issuer that gave it and to no other: if the configuration names another one
        now, nothing is sent and the client counts as refused.
        """
        if tokens.issuer != self._client.issuer or tokens.client_id != self._client.client_id:
            reason = "the configuration names another issuer or client_id than that of the sign-in"
            return Transient(reason, client_refused=True)
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        return await self._post(form)

    async def exchange_code(self, code: str, *, redirect_uri: str, code_verifier: str) -> Outcome:
        """Exchange an authorization code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        return await self._post(form)

    async def revoke(self, tokens: TokenSet) -> bool:
        """Revoke the grant by its refresh token, or else the access token (RFC 7009 §2.1).

        Returns:
            Whether the provider confirmed it; False also where it offers no revocation.

        Raises:
            ProviderError: the provider cannot be reached.
        """
        if tokens.issuer != self._client.issuer:
            return False
        metadata = await self._discovery.metadata(self._client.issuer)
        if not metadata.revocation_endpoint:
            return False
        kind = "refresh_token" if tokens.refresh_token else "access_token"
        token = tokens.refresh_token or tokens.access_token
        form, headers = self._client.authenticate(metadata, {"token": token, "token_type_hint": kind})
        answer = await self._http.post_form(metadata.revocation_endpoint, form, headers)
        return answer.status == HTTPStatus.OK

    async def _post(self, form: dict[str, str]) -> Outcome:
        if self._client.resource:
            form["resource"] = self._client.resource
        try:
            metadata = await self._discovery.metadata(self._client.issuer)
            form, headers = self._client.authenticate(metadata, form)
        except ProviderError as error:
            return Transient(str(error), error.retry_after)
        try:
            answer = await self._http.post_form(metadata.token_endpoint, form, headers)
        except ProviderError as error:
            self._discovery.doubt(self._client.issuer)
            return Transient(str(error), error.retry_after, answer_lost=isinstance(error, AnswerLost))
        if answer.status in MOVED:
            self._discovery.doubt(self._client.issuer)
        return parse_token_answer(answer.status, answer.headers, answer.body, now=self._clock())

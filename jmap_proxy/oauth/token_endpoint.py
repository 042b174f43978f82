"""Requests to the token endpoint (RFC 6749 §4.1.3, §4.4, §6; RFC 8628 §3.4) and the revocation endpoint (RFC 7009)."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from jmap_proxy.errors import AnswerLost, ProviderError
from jmap_proxy.oauth.answer import parse_token_answer
from jmap_proxy.oauth.device import DEVICE_CODE
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.oauth.client import OAuthClient
    from jmap_proxy.oauth.discovery import Discovery
    from jmap_proxy.oauth.http import ProviderHttp
    from jmap_proxy.tokens.tokenset import TokenSet

OF_A_USER = frozenset({"openid", "offline_access"})
"""Scopes that mean nothing where the client is its own user (OpenID Connect Core §3.1.2.1, §11)."""

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
        """Ask for new tokens in the way of the sign-in. Never raises ProviderError: that is `Transient`.

        A refresh token goes to the issuer that gave it and to no other: if the configuration names another one
        now, nothing is sent and the client counts as refused.
        """
        client = self._client.of(tokens)
        if tokens.issuer != client.issuer or tokens.client_id != client.client_id:
            reason = "the configuration names another issuer or client_id than that of the sign-in"
            return Transient(reason, client_refused=True)
        if tokens.grant_type == "client_credentials":
            return await self._ask_as(client)
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        return await self._post(form, client)

    async def exchange_code(self, code: str, *, redirect_uri: str, code_verifier: str) -> Outcome:
        """Exchange an authorization code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        }
        return await self._post(form, self._client)

    async def exchange_device_code(self, device_code: str) -> Outcome:
        """Exchange a device code for tokens, once the user has decided (RFC 8628 §3.4)."""
        return await self._post({"grant_type": DEVICE_CODE, "device_code": device_code}, self._client)

    async def ask_as_client(self) -> Outcome:
        """Ask for tokens of the client itself (RFC 6749 §4.4)."""
        return await self._ask_as(self._client)

    async def revoke(self, tokens: TokenSet) -> bool:
        """Revoke the grant by its refresh token, or else the access token (RFC 7009 §2.1).

        Returns:
            Whether the provider confirmed it; False also where it offers no revocation.

        Raises:
            ProviderError: the provider cannot be reached.
        """
        client = self._client.of(tokens)
        if tokens.issuer != client.issuer:
            return False
        metadata = await self._discovery.metadata(client.issuer)
        if not metadata.revocation_endpoint:
            return False
        kind = "refresh_token" if tokens.refresh_token else "access_token"
        token = tokens.refresh_token or tokens.access_token
        form, headers = client.authenticate(metadata, {"token": token, "token_type_hint": kind}, self._clock())
        answer = await self._http.post_form(metadata.revocation_endpoint, form, headers)
        return answer.status == HTTPStatus.OK

    async def _ask_as(self, client: OAuthClient) -> Outcome:
        """As itself; there is no grant that could be gone, and no refresh token (RFC 6749 §4.4.3)."""
        form = {"grant_type": "client_credentials"}
        if scopes := [scope for scope in client.scopes if scope not in OF_A_USER]:
            form["scope"] = " ".join(scopes)
        outcome = await self._post(form, client)
        if isinstance(outcome, Rejected):
            return Transient(
                f"the token endpoint gives the client itself nothing ({outcome.error})",
                client_refused=True,
                provider_time=outcome.provider_time,
                error=outcome.error,
            )
        return replace(outcome, refresh_token="") if isinstance(outcome, Refreshed) else outcome

    async def _post(self, form: dict[str, str], client: OAuthClient) -> Outcome:
        if client.resource:
            form["resource"] = client.resource
        try:
            metadata = await self._discovery.metadata(client.issuer)
            form, headers = client.authenticate(metadata, form, self._clock())
        except ProviderError as error:
            return Transient(str(error), error.retry_after)
        try:
            answer = await self._http.post_form(metadata.token_endpoint, form, headers)
        except ProviderError as error:
            self._discovery.doubt(client.issuer)
            return Transient(str(error), error.retry_after, answer_lost=isinstance(error, AnswerLost))
        outcome = parse_token_answer(answer.status, answer.headers, answer.body, now=self._clock())
        if answer.status in MOVED or _is_of_somebody_else(outcome):
            self._discovery.doubt(client.issuer)
        return outcome


def _is_of_somebody_else(outcome: Outcome) -> bool:
    """Whether nothing in an answer is a token endpoint's: one that has moved can leave a web page in its place.

    Who says when to come again is there.
    """
    return isinstance(outcome, Transient) and not outcome.error and outcome.retry_after is None

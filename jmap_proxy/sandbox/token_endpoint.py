"""The token endpoint and the revocation endpoint: forms in, JSON out (RFC 6749 §3.2, RFC 7009).

What is recorded, what is said in answer, the ID token among it. What a grant allows belongs to `grants`, who may call
to `client_authentication`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from jmap_proxy.sandbox.authorization import RefusedRequestError, check_scope, grant_for
from jmap_proxy.sandbox.faults import CLIENT_GONE, Faults
from jmap_proxy.sandbox.forms import NO_STORE, form_of, needed, refusal
from jmap_proxy.sandbox.grants import GrantError, Grants, Issued
from jmap_proxy.sandbox.provider_settings import AUTOMATIC, DEVICE_CODE, ProviderSettings, overridden

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.client_authentication import ClientAuthentication
    from jmap_proxy.sandbox.clients import Client
    from jmap_proxy.sandbox.device_codes import DeviceCodes
    from jmap_proxy.sandbox.signing_key import SigningKey

    _Act = Callable[[dict[str, str], Client], dict[str, Any]]

ID_TOKEN_LIFE = 600
"""Seconds that an ID token lives."""


@dataclass
class TokenRequest:
    """One request at the token or the revocation endpoint, as a test wants to see it.

    Attributes:
        grant_type: What the form says, empty if nothing.
        form: The form as sent.
        authorization: The `Authorization` header as sent, empty if none.
        outcome: `pending` while it waits; then `ok`, the error code, `fault` if a fault answered in the
            endpoint's place, or `gone` if the connection went away before the request was handled.
        at: Seconds since the epoch at its arrival.
    """

    grant_type: str
    form: dict[str, str] = field(repr=False)
    authorization: str = field(repr=False)
    outcome: str = "pending"
    at: float = 0


class TokenEndpoint:
    """Answers token and revocation requests.

    Args:
        settings: What tokens are given for.
        authentication: Who calls.
        grants: The rules.
        devices: What devices wait for.
        faults: The faults armed at `token` and `revoke`.
        render: Turns issued tokens into the answer's JSON object.
        clock: Returns the time in seconds since the epoch.

    Attributes:
        requests: Every token request so far.
        revocations: Every revocation request so far.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        authentication: ClientAuthentication,
        grants: Grants,
        devices: DeviceCodes,
        faults: Faults,
        render: Callable[[Issued], dict[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self.requests: list[TokenRequest] = []
        self.revocations: list[TokenRequest] = []
        self._settings = settings
        self._authentication = authentication
        self._grants = grants
        self._faults = faults
        self._render = render
        self._clock = clock
        self._by_grant_type: dict[str, Callable[[dict[str, str], Client], Issued]] = {
            "authorization_code": self._redeem,
            "refresh_token": self._refresh,
            "client_credentials": self._client_credentials,
            DEVICE_CODE: self._device_code,
        }
        self._devices = devices
        self._polled = asyncio.Event()

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /token`. Waits come before the grant is touched; then all happens in one step."""
        record = await _recorded(request, self._clock())
        self.requests.append(record)
        response = await self._met("token", request, record, self._exchanged)
        if record.grant_type == DEVICE_CODE:
            self._polled.set()
            self._polled = asyncio.Event()
        return response

    async def polled(self, times: int) -> None:
        """Wait until so many polls of devices have been answered, from the beginning on."""
        while sum(each.grant_type == DEVICE_CODE and each.outcome != "pending" for each in self.requests) < times:
            await self._polled.wait()

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /revoke`: 200 whether or not the token was known (RFC 7009 §2.2)."""
        record = await _recorded(request, self._clock())
        self.revocations.append(record)
        return await self._met("revoke", request, record, self._revoke)

    async def _met(self, place: str, request: web.Request, record: TokenRequest, act: _Act) -> web.StreamResponse:
        """Answer through the fault armed at a place, and record the outcome."""

        async def endpoint() -> web.Response:
            return self._answer(record, act)

        response = await self._faults.meet(place, request, endpoint)
        if record.outcome == "pending":
            record.outcome = "gone" if response.status == CLIENT_GONE else "fault"
        return response

    def _answer(self, record: TokenRequest, act: _Act) -> web.Response:
        record.outcome = "ok"
        try:
            client = self._authentication.client_of(record.form, record.authorization)
            return web.json_response(act(record.form, client), headers=NO_STORE)
        except GrantError as error:
            record.outcome = error.code
            return refusal(error, record.authorization)

    def _exchanged(self, form: dict[str, str], client: Client) -> dict[str, Any]:
        return self._render(self._exchange(form, client))

    def _exchange(self, form: dict[str, str], client: Client) -> Issued:
        grant_type = needed(form, "grant_type")
        if grant_type not in {*self._settings.grant_types(), "client_credentials"}:
            raise GrantError("unsupported_grant_type", f"only {' '.join(self._settings.grant_types())}")
        if not client.may(grant_type):
            raise GrantError("unauthorized_client", f"this client may not use {grant_type}")
        return self._by_grant_type[grant_type](form, client)

    def _redeem(self, form: dict[str, str], client: Client) -> Issued:
        return self._grants.redeem(
            needed(form, "code"),
            redirect_uri=needed(form, "redirect_uri"),
            verifier=needed(form, "code_verifier"),
            client_id=client.client_id,
        )

    def _refresh(self, form: dict[str, str], client: Client) -> Issued:
        return self._grants.refresh(needed(form, "refresh_token"), client_id=client.client_id)

    def _client_credentials(self, form: dict[str, str], client: Client) -> Issued:
        """Tokens for the client itself; a refresh token is none of them (RFC 6749 §4.4.3)."""
        scope = form.get("scope", "")
        try:
            check_scope(scope, client, self._settings)
        except RefusedRequestError as error:
            raise GrantError(error.code, error.description) from None
        return self._grants.issue(grant_for(client, scope, self._settings), refreshable=False)

    def _device_code(self, form: dict[str, str], client: Client) -> Issued:
        """Tokens for a device whose user has allowed it (RFC 8628 §3.4)."""
        return self._grants.issue(self._devices.poll(needed(form, "device_code"), client.client_id))

    def _revoke(self, form: dict[str, str], client: Client) -> dict[str, Any]:
        self._grants.revoke(needed(form, "token"), client_id=client.client_id)
        return {}


async def _recorded(request: web.Request, now: float) -> TokenRequest:
    form = await form_of(request)
    return TokenRequest(form.get("grant_type", ""), form, request.headers.get(hdrs.AUTHORIZATION, ""), at=now)


def token_answer(
    issued: Issued, *, issuer: str, settings: ProviderSettings, key: SigningKey, now: float
) -> dict[str, Any]:
    """The JSON object that hands out tokens (RFC 6749 §5.1).

    Args:
        issued: The tokens.
        issuer: This provider's issuer.
        settings: What is left out or falsified.
        key: Signs the ID token.
        now: Seconds since the epoch.
    """
    scope = issued.grant.scope
    said = settings.expires_in
    answer = {
        "access_token": issued.access_token,
        "token_type": settings.token_type,
        "expires_in": int(issued.life) if said is AUTOMATIC else said,
        "refresh_token": issued.refresh_token or None,
        "scope": scope if settings.scope_in_answer else None,
    }
    if "openid" in scope.split():
        claims = id_claims(issued, issuer=issuer, settings=settings, now=now)
        answer["id_token"] = key.sign(claims, foreign=settings.foreign_signature)
    return overridden(answer, {})


def id_claims(issued: Issued, *, issuer: str, settings: ProviderSettings, now: float) -> dict[str, Any]:
    """The ID token's claims (OpenID Connect Core 1.0 §2); `nonce` only where one was asked for."""
    claims = {
        "iss": issuer,
        "sub": issued.grant.user,
        "aud": issued.grant.client_id or settings.client_id,
        "iat": int(now),
        "exp": int(now) + ID_TOKEN_LIFE,
        "nonce": issued.nonce or None,
    }
    return overridden(claims, settings.id_token_overrides)

"""The token endpoint and the revocation endpoint: forms in, JSON out (RFC 6749 §3.2, RFC 7009).

Who may call, what is recorded, what is said in answer, the ID token among it. What a grant allows belongs to
`grants`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from aiohttp import hdrs, web

from jmap_proxy.sandbox.faults import CLIENT_GONE, Faults
from jmap_proxy.sandbox.grants import GrantError, Grants, Issued
from jmap_proxy.sandbox.provider_settings import AUTOMATIC, ProviderSettings, overridden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jmap_proxy.sandbox.signing_key import SigningKey

NO_STORE = {hdrs.CACHE_CONTROL: "no-store", hdrs.PRAGMA: "no-cache"}
FORM = "application/x-www-form-urlencoded"
ID_TOKEN_LIFE = 600
"""Seconds that an ID token lives."""


@dataclass
class TokenRequest:
    """One request at the token endpoint, as a test wants to see it.

    Attributes:
        grant_type: What the form says, empty if nothing.
        form: The form as sent.
        authorization: The `Authorization` header as sent, empty if none.
        outcome: `pending` while it waits; then `ok`, the error code, `fault` if a fault answered in the
            endpoint's place, or `gone` if the connection went away before the request was handled.
    """

    grant_type: str
    form: dict[str, str] = field(repr=False)
    authorization: str = field(repr=False)
    outcome: str = "pending"


class TokenEndpoint:
    """Answers token and revocation requests.

    Args:
        settings: The known client.
        grants: The rules.
        faults: The faults armed at `token` and `revoke`.
        render: Turns issued tokens into the answer's JSON object.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        grants: Grants,
        faults: Faults,
        render: Callable[[Issued], dict[str, Any]],
    ) -> None:
        self.requests: list[TokenRequest] = []
        self._settings = settings
        self._grants = grants
        self._faults = faults
        self._render = render

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /token`. Waits come before the grant is touched; then all happens in one step."""
        record = await _recorded(request)
        self.requests.append(record)

        async def endpoint() -> web.Response:
            record.outcome = "ok"
            return self._answer(record, lambda: self._render(self._exchange(record.form)))

        response = await self._faults.meet("token", request, endpoint)
        if record.outcome == "pending":
            record.outcome = "gone" if response.status == CLIENT_GONE else "fault"
        return response

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /revoke`: 200 whether or not the token was known (RFC 7009 §2.2)."""
        record = await _recorded(request)

        async def endpoint() -> web.Response:
            return self._answer(record, lambda: self._revoke(record.form))

        return await self._faults.meet("revoke", request, endpoint)

    def _answer(self, record: TokenRequest, act: Callable[[], dict[str, Any]]) -> web.Response:
        try:
            check_client(record.form, record.authorization, self._settings)
            return web.json_response(act(), headers=NO_STORE)
        except GrantError as error:
            record.outcome = error.code
            return _refusal(error, record.authorization)

    def _exchange(self, form: dict[str, str]) -> Issued:
        match form.get("grant_type"):
            case "authorization_code":
                return self._grants.redeem(
                    _needed(form, "code"),
                    redirect_uri=_needed(form, "redirect_uri"),
                    verifier=_needed(form, "code_verifier"),
                )
            case "refresh_token":
                return self._grants.refresh(_needed(form, "refresh_token"))
            case None:
                raise GrantError("invalid_request", "grant_type is missing")
            case _:
                raise GrantError("unsupported_grant_type", "only authorization_code and refresh_token")

    def _revoke(self, form: dict[str, str]) -> dict[str, Any]:
        self._grants.revoke(_needed(form, "token"))
        return {}


async def _recorded(request: web.Request) -> TokenRequest:
    """Read the form. A body that is no form counts as an empty one; of a repeated key the last one counts."""
    fields = await request.post() if request.content_type == FORM else {}
    form = {key: str(value) for key, value in fields.items()}
    return TokenRequest(form.get("grant_type", ""), form, request.headers.get(hdrs.AUTHORIZATION, ""))


def _needed(form: dict[str, str], key: str) -> str:
    if not form.get(key):
        raise GrantError("invalid_request", f"{key} is missing")
    return form[key]


def _refusal(error: GrantError, authorization: str) -> web.Response:
    """The error answer of RFC 6749 §5.2: 401 for a client that is not known, else 400."""
    body = {"error": error.code, "error_description": error.description}
    unknown = error.code == "invalid_client"
    headers = dict(NO_STORE)
    if unknown and authorization:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="sandbox"'
    return web.json_response(body, status=401 if unknown else 400, headers=headers)


def check_client(form: Mapping[str, str], authorization: str, settings: ProviderSettings) -> None:
    """Check that the caller is the one client, and shows its secret if it has one.

    Args:
        form: The request's form.
        authorization: The request's `Authorization` header, empty if there is none.
        settings: The known client.

    Raises:
        GrantError: `invalid_client`.
    """
    if authorization:
        client_id, secret = _basic(authorization)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if client_id != settings.client_id:
        raise GrantError("invalid_client", "client_id is unknown")
    if not hmac.compare_digest(secret.encode(), settings.client_secret.encode()):
        raise GrantError("invalid_client", "client_secret does not match")


def _basic(authorization: str) -> tuple[str, str]:
    """Client id and secret of a Basic header; both are form-urlencoded in it."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise GrantError("invalid_client", "only Basic is understood here")
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise GrantError("invalid_client", "the Basic credentials are malformed") from None
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


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
        "aud": settings.client_id,
        "iat": int(now),
        "exp": int(now) + ID_TOKEN_LIFE,
        "nonce": issued.nonce or None,
    }
    return overridden(claims, settings.id_token_overrides)

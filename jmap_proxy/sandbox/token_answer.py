"""What the token endpoint says: the answer of RFC 6749 §5 and the ID token in it. Pure functions."""

from typing import Any

from jmap_proxy.sandbox.grants import Issued
from jmap_proxy.sandbox.provider_settings import AUTOMATIC, ProviderSettings, overridden
from jmap_proxy.sandbox.signing_key import SigningKey

ID_TOKEN_LIFE = 600
"""Seconds that an ID token lives."""


def token_answer(
    issued: Issued, *, issuer: str, settings: ProviderSettings, key: SigningKey, now: float
) -> dict[str, Any]:
    """Return the JSON object that hands out tokens (RFC 6749 §5.1).

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
    """Return the ID token's claims (OpenID Connect Core 1.0 §2); `nonce` only where one was asked for."""
    claims = {
        "iss": issuer,
        "sub": issued.grant.user,
        "aud": settings.client_id,
        "iat": int(now),
        "exp": int(now) + ID_TOKEN_LIFE,
        "nonce": issued.nonce or None,
    }
    return overridden(claims, settings.id_token_overrides)

"""The ID token's checks (OpenID Connect Core §3.1.3.7): signature, iss, aud, azp, exp, nonce. Pure, on joserfc."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from jmap_proxy.errors import SignInError

SIGNATURES = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
]
"""Asymmetric ones only: `none` proves nothing, and an HMAC with a public client's secret neither."""

LEEWAY = 120
"""Seconds that the local clock may be off."""


def check_id_token(
    id_token: str, jwks: dict[str, Any], *, issuer: str, client_id: str, nonce: str | None, now: float
) -> dict[str, Any]:
    """The claims of an ID token that holds for this sign-in.

    Args:
        id_token: Compact JWS.
        jwks: The provider's key set (RFC 7517 §5).
        issuer: Expected `iss`, exactly.
        client_id: Must be in `aud`, and be `azp` if there is one.
        nonce: Expected `nonce`; None where none could be sent (RFC 8628).
        now: Epoch seconds.

    Raises:
        SignInError: any of the checks fails.
    """
    try:
        token = jwt.decode(id_token, KeySet(_signature_keys(jwks)), algorithms=SIGNATURES)
        jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": nonce is not None, **({} if nonce is None else {"value": nonce})},
        ).validate(token.claims)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise SignInError(
            f"the provider's ID token does not hold: {_reason(error)}",
            hint="check the account's issuer and client_id, and this machine's clock",
        ) from None
    audience, authorized = token.claims["aud"], token.claims.get("azp")
    if authorized not in (None, client_id) or (isinstance(audience, list) and len(audience) > 1 and not authorized):
        raise SignInError(
            "the provider's ID token was made for another client (azp)", hint="check the account's issuer and client_id"
        )
    return dict(token.claims)


def holds_key_of(id_token: str, jwks: dict[str, Any]) -> bool:
    """Whether the key set has the key that an ID token names; one that names none may be of any of them."""
    try:
        named = json.loads(_decoded(id_token.partition(".")[0])).get("kid")
        return named is None or any(isinstance(key, dict) and key.get("kid") == named for key in jwks["keys"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True  # what is wrong with it, its check tells


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _signature_keys(jwks: dict[str, Any]) -> list[Key]:
    """The keys that can be used; what is not understood is passed over (RFC 7517 §5)."""
    keys = []
    for raw in jwks["keys"]:
        if not isinstance(raw, dict) or raw.get("use", "sig") != "sig":
            continue
        with contextlib.suppress(JoseError, ValueError, KeyError, TypeError):
            keys.append(JWKRegistry.import_key(raw))
    return keys


def _reason(error: Exception) -> str:
    claim = getattr(error, "claim", None)
    return f"{type(error).__name__} ({claim})" if isinstance(claim, str) else type(error).__name__

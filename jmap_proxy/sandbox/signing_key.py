"""The key that signs ID tokens, and its public half as a JWKS. What an ID token says is decided elsewhere."""

from __future__ import annotations

from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

ALGORITHM = "RS256"
KEY_BITS = 2048


class SigningKey:
    """An RS256 key that can be replaced. It is made at its first use: that takes a tenth of a second."""

    def __init__(self) -> None:
        self._key: RSAKey | None = None

    def rotate(self) -> None:
        """Forget the key; the next use makes a new one, and the JWKS no longer holds the old one."""
        self._key = None

    def jwks(self) -> dict[str, Any]:
        """The public key set (RFC 7517 §5)."""
        return dict(KeySet([self._current()]).as_dict(private=False))

    def sign(self, claims: dict[str, Any], *, foreign: bool = False) -> str:
        """The claims as a signed JWT (RFC 7519).

        Args:
            claims: What the token says.
            foreign: Sign with a key made for this once, under the `kid` of the true one.
        """
        key = self._current()
        signer = _new_key() if foreign else key
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, claims, signer)

    def _current(self) -> RSAKey:
        if self._key is None:
            self._key = _new_key()
        return self._key


def _new_key() -> RSAKey:
    return RSAKey.generate_key(KEY_BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)

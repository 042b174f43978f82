"""The private key by which a client proves who it is, and the assertion made with it (RFC 7521, RFC 7523). Pure."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

if TYPE_CHECKING:
    from collections.abc import Collection

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

ASSERTION_LIFE = 60
"""Seconds: it is made for one request, and clocks differ."""

RSA_ALGORITHMS = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
EC_ALGORITHMS = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",)}
ED25519_ALGORITHMS = ("EdDSA", "Ed25519")
"""By kind of key; the first one where the provider does not say which it takes."""

SHORTEST_RSA = 2048
"""Bits (RFC 7518 §3.3)."""

_PEM = re.compile(rb"-----BEGIN (RSA |EC )?PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A private key for signing. The repr does not show it.

    Attributes:
        key: The key.
        key_id: Its `kid`, "" if the file names none.
        algorithms: What it can sign with, the usual one first.
    """

    key: RSAKey | ECKey | OKPKey = field(repr=False)
    key_id: str
    algorithms: tuple[str, ...]

    def algorithm(self, offered: Collection[str]) -> str:
        """What to sign with; `offered` is what the provider takes, as far as it says."""
        return next((each for each in self.algorithms if each in offered), self.algorithms[0])

    def assertion(self, client_id: str, audience: str, offered: Collection[str], *, now: float, unique: str) -> str:
        """A JWT that proves that its sender is the client (RFC 7523 §3).

        Args:
            client_id: Who it is.
            audience: The provider.
            offered: Signature algorithms that it takes, as far as it says.
            now: Epoch seconds.
            unique: The `jti`, another one each time.
        """
        algorithm = self.algorithm(offered)
        header: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
        if self.key_id:
            header["kid"] = self.key_id
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + ASSERTION_LIFE,
            "jti": unique,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has a new name (RFC 9864), which few know yet
            return jwt.encode(header, claims, self.key, algorithms=[algorithm])


def parse_client_key(raw: bytes) -> ClientKey:
    """The key of a file: PEM (PKCS #8, or the older forms of RSA and EC), or a JWK as JSON.

    Raises:
        ValueError: no private key that can sign; the message holds nothing of the file.
    """
    try:
        key = _imported(raw)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("it is no private key in PEM or JWK form, or it is encrypted") from None
    if not key.is_private:
        raise ValueError("it holds a public key, and the private one is needed")
    named, able = key.get("alg"), _algorithms(key)
    if named is not None:
        able = tuple(each for each in able if each == named)
    if not able:
        raise ValueError("no client can sign with a key of this kind: RSA of 2048 bits or more, P-256, or Ed25519 do")
    key_id = key.get("kid")
    return ClientKey(key, key_id if isinstance(key_id, str) else "", able)


def _imported(raw: bytes) -> RSAKey | ECKey | OKPKey:
    if raw.lstrip().startswith(b"{"):
        key = JWKRegistry.import_key(json.loads(raw))
        if not isinstance(key, RSAKey | ECKey | OKPKey):
            raise ValueError  # a shared secret
        return key
    if not _PEM.search(raw):
        raise ValueError
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(raw)
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError


def _algorithms(key: RSAKey | ECKey | OKPKey) -> tuple[str, ...]:
    if isinstance(key, RSAKey):
        return RSA_ALGORITHMS if key.raw_value.key_size >= SHORTEST_RSA else ()
    if isinstance(key, ECKey):
        return EC_ALGORITHMS.get(key.curve_name, ())
    return ED25519_ALGORITHMS if key.curve_name == "Ed25519" else ()

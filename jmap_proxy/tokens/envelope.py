"""Tokens as an encrypted, authenticated text: JWE compact, dir + A256GCM (RFC 7516, RFC 7518 §4.5 and §5.3)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from jmap_proxy.tokens.migration import migrated
from jmap_proxy.tokens.tokenset import SCHEMA_VERSION, TokenSet

if TYPE_CHECKING:
    from jmap_proxy.tokens.datakey import DataKey

ALGORITHMS = ["dir", "A256GCM"]


class EnvelopeError(ValueError):
    """The text is not an envelope that this key opens; the message says which of the possible reasons it is."""


def seal(tokens: TokenSet, key: DataKey) -> bytes:
    """Encrypt the tokens under the data key."""
    header = {"alg": "dir", "enc": "A256GCM", "kid": key.key_id, "typ": "jmap-proxy+jwe"}
    text = jwe.encrypt_compact(
        header, msgspec.json.encode(tokens), OctKey.import_key(key.secret), algorithms=ALGORITHMS
    )
    return text.encode() + b"\n"


def unseal(data: bytes, key: DataKey) -> TokenSet:
    """Decrypt and check the tokens.

    Raises:
        EnvelopeError: damaged, encrypted with another key, or written by a newer version.
    """
    try:
        if _key_id(data) != key.key_id:
            raise EnvelopeError(f"encrypted with another data key (this one is {key.key_id})")
        opened = jwe.decrypt_compact(data.removesuffix(b"\n"), OctKey.import_key(key.secret), algorithms=ALGORITHMS)
    except (JoseError, ValueError) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError("damaged: it does not decrypt") from None
    return _parse(opened.plaintext or b"")


def _key_id(data: bytes) -> str:
    """`kid` of the protected header; ValueError where there is no such header."""
    encoded = data.partition(b".")[0]
    header = json.loads(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    if not isinstance(header, dict) or not isinstance(header.get("kid"), str):
        raise ValueError("no key id")  # noqa: TRY004 - the text is wrong, not the program
    return str(header["kid"])


def _parse(plaintext: bytes) -> TokenSet:
    try:
        document = migrated(json.loads(plaintext))
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            raise EnvelopeError(f"written in form {version}, this program reads forms 1 to {SCHEMA_VERSION}")
        return msgspec.convert(document, type=TokenSet)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError("damaged: it does not hold tokens") from None

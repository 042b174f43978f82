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


class NewerFormError(EnvelopeError):
    """The text was written by a newer program; it is not damaged."""


def seal(tokens: TokenSet, key: DataKey) -> bytes:
    """Encrypt the tokens under the data key."""
    return _encrypted(msgspec.json.encode(tokens), key)


def unseal(data: bytes, key: DataKey) -> TokenSet:
    """Decrypt and check the tokens.

    Raises:
        EnvelopeError: damaged, encrypted with another key, or written by a newer version.
    """
    return _parse(_decrypted(data, key))


def reseal(data: bytes, old: DataKey, new: DataKey) -> bytes:
    """What is encrypted under the one key, under the other one; what it says is not looked at. Raises EnvelopeError."""
    return _encrypted(_decrypted(data, old), new)


def key_id_of(data: bytes) -> str:
    """Name of the key that opens it. Raises EnvelopeError: it is no envelope."""
    try:
        encoded = data.partition(b".")[0]
        header = json.loads(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
        key_id = header["kid"]
    except (ValueError, KeyError, TypeError):
        raise EnvelopeError("damaged: it does not decrypt") from None
    return str(key_id)


def _encrypted(plaintext: bytes, key: DataKey) -> bytes:
    header = {"alg": "dir", "enc": "A256GCM", "kid": key.key_id, "typ": "jmap-proxy+jwe"}
    text = jwe.encrypt_compact(header, plaintext, OctKey.import_key(key.secret), algorithms=ALGORITHMS)
    return text.encode() + b"\n"


def _decrypted(data: bytes, key: DataKey) -> bytes:
    if key_id_of(data) != key.key_id:
        raise EnvelopeError(f"encrypted with another data key (this one is {key.key_id})")
    try:
        opened = jwe.decrypt_compact(data.removesuffix(b"\n"), OctKey.import_key(key.secret), algorithms=ALGORITHMS)
    except (JoseError, ValueError):
        raise EnvelopeError("damaged: it does not decrypt") from None
    return opened.plaintext or b""


def _parse(plaintext: bytes) -> TokenSet:
    try:
        document = migrated(json.loads(plaintext))
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            raise NewerFormError(f"written in form {version}, this program reads forms 1 to {SCHEMA_VERSION}")
        return msgspec.convert(document, type=TokenSet)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, EnvelopeError):
            raise
        raise EnvelopeError("damaged: it does not hold tokens") from None

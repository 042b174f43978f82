"""The data key that encrypts the store, and how a place keeps it: one line a key, the current one last. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DataKey:
    """256 bits for A256GCM, and a name for them that may be shown."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> DataKey:
        """A fresh key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @property
    def key_id(self) -> str:
        """16 hex digits that tell two keys apart and nothing about them."""
        return hashlib.sha256(b"jmap-proxy data key" + self.secret).hexdigest()[:16]


def parse_keys(text: bytes) -> tuple[DataKey, ...]:
    """The keys of a text, at least one. Raises ValueError if it is anything else."""
    try:
        found = tuple(DataKey(base64.b64decode(line, validate=True)) for line in text.split())
    except binascii.Error:
        found = ()
    if not found or any(len(key.secret) != KEY_BYTES for key in found):
        raise ValueError("not a data key")
    return found


def format_keys(keys: Iterable[DataKey]) -> bytes:
    """The text that `parse_keys` reads."""
    return b"".join(base64.b64encode(key.secret) + b"\n" for key in keys)

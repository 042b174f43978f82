"""The data key that encrypts the store, and where it comes from. A keyring can be a further source."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jmap_proxy import files
from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DataKey:
    """256 bits for A256GCM, and a name for them that may be shown."""

    secret: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """16 hex digits that tell two keys apart and nothing about them."""
        return hashlib.sha256(b"jmap-proxy data key" + self.secret).hexdigest()[:16]


class DataKeySource(Protocol):
    """Somewhere that keeps a data key."""

    def describe(self) -> str:
        """Where the key is kept, for `status`."""

    def load(self) -> DataKey | None:
        """The key, None if there is none yet. May block. Raises StoreError."""

    def create(self) -> DataKey:
        """The key, made now if there is none yet. May block. Raises StoreError."""


class KeyFile:
    """A data key in a file of its own, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def describe(self) -> str:
        """Where the key is kept, for `status`."""
        return f"key file {self._path}"

    def load(self) -> DataKey | None:
        """The key in the file, None if there is no file.

        Raises:
            StoreError: the file is unreadable, open to others or holds no key.
        """
        raw = files.read_private(self._path)
        return None if raw is None else DataKey(self._decode(raw))

    def create(self) -> DataKey:
        """The key in the file; a missing file is made, and of two racing processes both get the winner's key.

        Raises:
            StoreError: as `load`, or the file cannot be written.
        """
        if (existing := self.load()) is not None:
            return existing
        files.own_folder(self._path.parent)
        files.create_durably(self._path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        key = self.load()
        if key is None:
            raise StoreError(f"{self._path} vanished while it was made", hint="try again")
        return key

    def _decode(self, raw: bytes) -> bytes:
        try:
            secret = base64.b64decode(raw.strip(), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != KEY_BYTES:
            raise StoreError(
                f"{self._path} does not hold a data key",
                hint=f"restore {self._path} from a backup; without it the stored sign-ins cannot be read",
            )
        return secret

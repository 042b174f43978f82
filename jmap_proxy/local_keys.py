"""Local keys: what a client shows to come in. The key says which account is meant; only its hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Literal

import msgspec

from jmap_proxy import files
from jmap_proxy.errors import StoreError
from jmap_proxy.locks import file_lock

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "local-keys.json"
LOCK_PATIENCE = 10.0


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    """The stored form: SHA-256 of each account's key. A key has 256 random bits, so no slow hash is needed."""

    digests: dict[str, str] = {}
    schema_version: Literal[1] = 1


def new_key() -> str:
    """A fresh local key: 66 characters that need no quoting anywhere."""
    return "jp" + secrets.token_hex(32)


def digest(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class LocalKeys:
    """The local keys of all accounts, in one file of the state folder.

    A running proxy sees a change with the next request: the file's identity is looked at each time (one stat call),
    its content only when that has changed.
    """

    def __init__(self, state: Path, *, lock_patience: float = LOCK_PATIENCE) -> None:
        self._path = state / FILE_NAME
        self._lock_patience = lock_patience
        self._seen: files.Identity | None = None
        self._accounts: dict[str, str] = {}

    def account_of(self, key: str) -> str | None:
        """The account that the key opens, None for a wrong key. Raises StoreError."""
        self._look()
        return self._accounts.get(digest(key))

    def digests(self) -> set[str]:
        """The digests of all keys that open something now. Raises StoreError."""
        self._look()
        return set(self._accounts)

    def has_key(self, account: str) -> bool:
        """Whether the account has a key. Raises StoreError."""
        return account in self._load().digests

    def renew(self, account: str) -> str:
        """Make a new key for the account; the old one stops working. Blocks.

        Returns:
            The key, which is not stored and cannot be told again.

        Raises:
            StoreError: the file cannot be read or written.
        """
        key = new_key()
        self._change(account, digest(key))
        return key

    def remove(self, account: str) -> None:
        """Take the account's key away. Blocks. Raises StoreError."""
        self._change(account, None)

    def _change(self, account: str, key_digest: str | None) -> None:
        files.own_folder(self._path.parent)
        with file_lock(self._path.with_suffix(".lock"), self._lock_patience):
            stored = self._load()
            stored.digests.pop(account, None)
            if key_digest is not None:
                stored.digests[account] = key_digest
            files.write_durably(self._path, msgspec.json.format(msgspec.json.encode(stored)) + b"\n")

    def _look(self) -> None:
        identity = files.identity(self._path)
        if identity != self._seen:
            self._accounts = {digest: account for account, digest in self._load().digests.items()}
            self._seen = identity

    def _load(self) -> _KeyFile:
        raw = files.read_private(self._path)
        if raw is None:
            return _KeyFile()
        try:
            return msgspec.json.decode(raw, type=_KeyFile)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # the error's own words would repeat what stands in the file
            what = "not of the form that is known" if isinstance(error, msgspec.ValidationError) else "no JSON"
            raise StoreError(
                f"{self._path} is damaged: {what}", hint="move it away, then run jmap-proxy key for each account"
            ) from None

"""Encrypting the whole store anew, with a new data key or at another place for it. Blocks."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from jmap_proxy import files
from jmap_proxy.errors import StoreError
from jmap_proxy.locks import file_lock
from jmap_proxy.tokens.envelope import EnvelopeError, key_id_of, reseal
from jmap_proxy.tokens.store import LOCK_PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jmap_proxy.tokens.datakey import DataKey
    from jmap_proxy.tokens.keychain import Keychain, Place

ROUNDS = 10
"""Times that the folder is gone through at most, until nothing is left; a running proxy may write meanwhile."""


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What came of it.

    Attributes:
        key: The new key.
        sealed: Names of the files that it encrypts now.
        left: Why others were left as they are, by name; the old keys are kept for them.
    """

    key: DataKey
    sealed: frozenset[str]
    left: dict[str, str]


def rekey(
    folder: Path,
    keychain: Keychain,
    to: Place | None = None,
    others: Mapping[str, Callable[[DataKey], str]] = MappingProxyType({}),
) -> Rekeyed:
    """Encrypt all token files anew. Interrupted at any moment it loses nothing, and can be run again.

    Args:
        folder: Of the token files.
        keychain: Holds the data keys.
        to: Where the new key is to be kept; None: where the old one is.
        others: What else is encrypted with data keys, by name: encrypts it anew and tells why it could not.

    Raises:
        StoreError: the place does not take a key, or a file cannot be locked or written.
    """
    key, sealed, left = keychain.begin_rekey(to), set[str](), dict[str, str]()
    for _ in range(ROUNDS):
        left, todo = {}, [path for path in _token_files(folder) if not _is_sealed_with(path, key)]
        for path in todo:
            with file_lock(path.with_suffix(".lock"), LOCK_PATIENCE):
                reason = _sealed_anew(path, keychain, key)
            if reason:
                left[path.name] = reason
            else:
                sealed.add(path.name)
        if len(left) == len(todo):
            break
    for name, encrypt_anew in others.items():
        if reason := encrypt_anew(key):
            left[name] = reason
    if not left:
        keychain.end_rekey(key)
    return Rekeyed(key, frozenset(sealed), left)


def _token_files(folder: Path) -> list[Path]:
    return sorted(path for suffix in (".jwe", ".previous") for path in folder.glob(f"*{suffix}"))


def _is_sealed_with(path: Path, key: DataKey) -> bool:
    try:
        raw = files.read_private(path)
        return raw is None or key_id_of(raw) == key.key_id
    except (StoreError, EnvelopeError):
        return False


def _sealed_anew(path: Path, keychain: Keychain, key: DataKey) -> str:
    """Why it was left as it is, "" if it was not."""
    try:
        raw = files.read_private(path)
        if raw is None or key_id_of(raw) == key.key_id:
            return ""
        old = keychain.find(key_id_of(raw))
        if old is None:
            return f"its data key {key_id_of(raw)} is nowhere to be found"
        data = reseal(raw, old, key)
    except (StoreError, EnvelopeError) as error:
        return str(error)
    files.write_durably(path, data)
    return ""

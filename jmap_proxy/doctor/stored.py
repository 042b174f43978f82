"""What the store holds of the accounts, read without changing it. Blocks."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import msgspec

from jmap_proxy import files
from jmap_proxy.doctor.finding import Finding, error, info, ok, told, warning
from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.envelope import EnvelopeError, NewerFormError, key_id_of, unseal
from jmap_proxy.tokens.journal import read_attempt
from jmap_proxy.tokens.losses import Loss
from jmap_proxy.tokens.store import read_tokens, token_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jmap_proxy.doctor.installation import Installation
    from jmap_proxy.tokens.datakey import DataKey
    from jmap_proxy.tokens.journal import Attempt
    from jmap_proxy.tokens.tokenset import TokenSet


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one account.

    Attributes:
        tokens: None if there are none, or they cannot be read.
        attempt: A refresh of them whose outcome may be open, None if there is none.
        losses: Sign-ins of the account that were lost.
        unreadable: Whether there are tokens that cannot be read; it has been told why.
    """

    tokens: TokenSet | None = field(default=None, repr=False)
    attempt: Attempt | None = None
    losses: tuple[Loss, ...] = ()
    unreadable: bool = False


def look_at_store(installation: Installation, wrong: frozenset[Path]) -> tuple[list[Finding], dict[str, Stored]]:
    """Read what is stored of the accounts.

    Args:
        installation: What is looked at.
        wrong: Paths that something has been found to be wrong with already.

    Returns:
        The findings, and what is stored, by account.
    """
    if not installation.state.exists():
        what = f"{installation.state} is not there yet, so nobody has signed in"
        return [info("nothing-stored", what, "run: jmap-proxy login you@example.com")], {
            name: Stored() for name in installation.accounts
        }
    paths = {name: token_file(installation.tokens, name) for name in installation.accounts}
    usable = {name: path for name, path in paths.items() if not {path, installation.tokens} & wrong}
    raw = {name: _bytes_of(path) for name, path in usable.items()}
    findings, keys = _data_keys(installation, raw, wrong)
    stored = dict.fromkeys(paths, _UNREADABLE)
    for name, path in usable.items():
        finding, stored[name] = _read(installation, name, path, raw[name], keys)
        findings += [finding] if finding else []
    return findings, stored


def _data_keys(
    installation: Installation, raw: Mapping[str, bytes | None], wrong: frozenset[Path]
) -> tuple[list[Finding], dict[str, DataKey]]:
    """The data keys that the accounts' files need, by their ids."""
    found: dict[str, DataKey] = {}
    missing: dict[str, str] = {}
    places = installation.data_keys
    try:
        where = places.describe()
        for name, key_id in ((name, _key_id(data)) for name, data in raw.items()):
            if key_id and (key := places.find(key_id)):
                found[key_id] = key
            elif key_id:
                missing[name] = key_id
    except StoreError as trouble:
        told_already = {installation.state / "data.key", installation.state / "data-key.place"} & wrong
        mend = "set store.key to the place that holds the data key"
        return [] if told_already else [told("data-key", trouble, mend=mend)], {}
    if missing:
        name = next(iter(missing))
        what = (
            f"the data key {missing[name]} is missing ({where}); without it these cannot be read: {', '.join(missing)}"
        )
        path = token_file(installation.tokens, name)
        mend = f"restore the data key; or move {path} away and run: jmap-proxy login {name}"
        return [error("data-key-missing", what, mend)], found
    return [ok("data-key", where)], found


def _key_id(data: bytes | None) -> str:
    """Which data key opens this, "" where that cannot be told."""
    try:
        return key_id_of(data) if data else ""
    except EnvelopeError:
        return ""


def _read(
    installation: Installation, name: str, path: Path, data: bytes | None, keys: Mapping[str, DataKey]
) -> tuple[Finding | None, Stored]:
    if data is None:
        return None, Stored(losses=_losses(path))
    key_id = _key_id(data)
    if key_id and key_id not in keys:
        return None, _UNREADABLE  # it has been told why
    mend = f"move {path} away, then run: jmap-proxy login {name}"
    try:
        tokens = unseal(data, keys[key_id]) if key_id else _not_an_envelope()
    except NewerFormError as trouble:
        return error("tokens-newer", f"{path}: {trouble}", f"use the newer program; or {mend}", name), _UNREADABLE
    except EnvelopeError as trouble:
        return _damaged(installation, name, f"{path}: {trouble}", mend)
    if tokens.account != name:
        what = f"{path} holds the tokens of account {tokens.account!r}"
        return error("tokens-foreign", what, mend, name), _UNREADABLE
    return None, _beside(path, tokens)


def _not_an_envelope() -> NoReturn:
    raise EnvelopeError("damaged: it does not decrypt")


def _damaged(installation: Installation, name: str, what: str, mend: str) -> tuple[Finding, Stored]:
    """The proxy may have the generation before to go on with."""
    with contextlib.suppress(StoreError):
        tokens = read_tokens(installation.tokens, name, installation.data_keys)
        if tokens is not None:
            what = f"{what}; the generation before it is used instead"
            return warning("tokens-damaged", what, f"see that the disk is well; or {mend}", name), Stored(tokens)
    return error("tokens-damaged", what, mend, name), _UNREADABLE


def _beside(path: Path, tokens: TokenSet) -> Stored:
    noted = _bytes_of(path.with_suffix(".attempt"))
    attempt = None if noted is None else read_attempt(noted)
    open_attempt = attempt if attempt is not None and attempt.concerns(tokens) else None
    return Stored(tokens, open_attempt, _losses(path))


def _losses(path: Path) -> tuple[Loss, ...]:
    """The losses that were noted; a list that cannot be understood counts as none, as the program takes it."""
    noted = _bytes_of(path.with_suffix(".losses"))
    try:
        return () if noted is None else msgspec.json.decode(noted, type=tuple[Loss, ...])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()


def _bytes_of(path: Path) -> bytes | None:
    """The file's bytes, None if there is none or it is one of those that were found to be wrong."""
    with contextlib.suppress(StoreError):
        return files.read_private(path)
    return None


_UNREADABLE = Stored(unreadable=True)

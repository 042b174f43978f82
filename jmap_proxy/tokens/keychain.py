"""Which place holds the store's data key: the ladder keyring → systemd credential → key file.

The first usable place is chosen once, when the first key is made, and noted; from then on it is that place or an
error, never silently a lesser one. `jmap-proxy store rekey` changes it. All of it blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from jmap_proxy import files
from jmap_proxy.errors import StoreError
from jmap_proxy.locks import file_lock
from jmap_proxy.tokens.datakey import DataKey
from jmap_proxy.tokens.keyplaces import CredentialKey, KeyFile, KeyringKey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jmap_proxy.tokens.keyplaces import KeyPlace

Place = Literal["keyring", "credential", "file"]
LADDER: tuple[Place, ...] = ("keyring", "credential", "file")

LOCK_PATIENCE = 10.0
"""Seconds to wait for another process that is choosing a place."""

log = structlog.get_logger("jmap_proxy.tokens")


class DataKeys(Protocol):
    """What a store needs of its data keys."""

    def describe(self) -> str:
        """Where they are kept, for `status`. Raises StoreError."""

    def find(self, key_id: str) -> DataKey | None:
        """The key of that name, None if it is nowhere. Raises StoreError."""

    def current(self) -> DataKey:
        """The key to encrypt with, made now if there is none yet. Raises StoreError."""


def key_places(state: Path, environment: Mapping[str, str]) -> dict[Place, KeyPlace]:
    """The places of this machine, by name."""
    return {
        "keyring": KeyringKey(state),
        "credential": CredentialKey(environment),
        "file": KeyFile(state / "data.key"),
    }


class Keychain:
    """The data keys of one state folder.

    Args:
        state: The folder; notes in `data-key.place` which place was chosen.
        places: By name.
        wanted: "auto": the one that was chosen, or the first usable one.
    """

    def __init__(self, state: Path, places: Mapping[Place, KeyPlace], wanted: Place | Literal["auto"] = "auto") -> None:
        self._state = state
        self._places = places
        self._wanted = wanted
        self._note = state / "data-key.place"
        self._known: dict[str, DataKey] = {}

    def describe(self) -> str:
        """Where the key is, or would be put."""
        chosen = self._chosen()
        if chosen is None:
            return f"{self._places[self._choice()].describe()} (nothing is stored yet)"
        return self._places[chosen].describe()

    def find(self, key_id: str) -> DataKey | None:
        """See `DataKeys`. Other places are looked at too: a rekey may have been interrupted."""
        if key_id not in self._known and (key := self._find(key_id)):
            self._known[key_id] = key
        return self._known.get(key_id)

    def _find(self, key_id: str) -> DataKey | None:
        chosen = self._chosen()
        if chosen is not None and (key := _named(self._places[chosen], key_id)):
            return key
        for name, place in self._places.items():
            if name != chosen and (key := _found(place, key_id)):
                return key
        return None

    def current(self) -> DataKey:
        """See `DataKeys`."""
        chosen = self._chosen()
        if chosen is None:
            files.own_folder(self._state)
            with file_lock(self._state / "data-key.lock", LOCK_PATIENCE):
                chosen = self._chosen() or self._choose()
        keys = self._places[chosen].held()
        if not keys:
            raise StoreError(
                f"the data key is gone from {self._places[chosen].describe()}",
                hint=f"restore it; without it sign in again after moving {self._state} away",
            )
        return keys[-1]

    def begin_rekey(self, to: Place | None) -> DataKey:
        """A new current key, at another place if asked for; the old ones can still be found. Raises StoreError."""
        files.own_folder(self._state)
        with file_lock(self._state / "data-key.lock", LOCK_PATIENCE):
            name = to or self._chosen(check=False) or self._choice()
            place = self._places[name]
            key = place.held()[-1] if name == "credential" and place.held() else DataKey.new()
            if key not in place.held():
                place.put([*place.held(), key])
            self._choose_place(name)
            return key

    def end_rekey(self, key: DataKey) -> None:
        """Forget all other keys: nothing is encrypted with them any more. Raises StoreError."""
        with file_lock(self._state / "data-key.lock", LOCK_PATIENCE):
            chosen = self._chosen(check=False)
            for name, place in self._places.items():
                if name == chosen:
                    place.put([key])
                elif name != "credential" and place.is_usable():
                    _empty(place)

    def _chosen(self, *, check: bool = True) -> Place | None:
        """The place that was noted. A key file without a note is one of version 0.1.0."""
        raw = files.read_private(self._note)
        chosen = next((name for name in LADDER if raw is not None and raw.strip() == name.encode()), None)
        if raw is not None and chosen is None:
            raise StoreError(
                f"{self._note} names no place that is known", hint=f"write one of {', '.join(LADDER)} there"
            )
        if chosen is None and self._places["file"].held():
            chosen = "file"
        if check and chosen and self._wanted not in ("auto", chosen):
            raise StoreError(
                f"store.key is {self._wanted!r}, but the data key is in {self._places[chosen].describe()}",
                hint=f"run: jmap-proxy store rekey --to {self._wanted}",
            )
        return chosen

    def _choice(self) -> Place:
        """The place for the first key."""
        if self._wanted != "auto":
            return self._wanted
        return next((name for name in LADDER if self._places[name].is_usable()), "file")

    def _choose(self) -> Place:
        """Make the first key, with the lock held. Where "auto" has to step down, that is told."""
        for name in (self._wanted,) if self._wanted != "auto" else LADDER:
            place = self._places[name]
            if self._wanted == "auto" and not place.is_usable():
                continue
            try:
                if not place.held():
                    place.put([DataKey.new()])
            except StoreError as error:
                if self._wanted != "auto" or name == LADDER[-1]:
                    raise
                log.warning("data key goes to a lesser place", instead_of=place.describe(), error=error.detail)
                continue
            self._choose_place(name)
            log.info("data key made", place=place.describe())
            return name
        raise StoreError("there is no place for the data key", hint='set store.key = "file"')

    def _choose_place(self, name: Place) -> None:
        files.write_durably(self._note, name.encode() + b"\n")


def _empty(place: KeyPlace) -> None:
    """Forget what is there; an old key that stays opens nothing any more."""
    try:
        if place.held():
            place.put([])
    except StoreError as error:
        log.warning("old data key stays where it is", place=place.describe(), error=error.detail)


def _named(place: KeyPlace, key_id: str) -> DataKey | None:
    return next((key for key in place.held() if key.key_id == key_id), None)


def _found(place: KeyPlace, key_id: str) -> DataKey | None:
    """As `_named`, at a place that does not have to be there."""
    try:
        return _named(place, key_id) if place.is_usable() else None
    except StoreError:
        return None

from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Literal

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.datakey import DataKey
from jmap_proxy.tokens.keychain import Keychain, Place, key_places
from jmap_proxy.tokens.keyplaces import KeyFile, KeyPlace

OLD, NEW = DataKey(b"o" * 32), DataKey(b"n" * 32)


class Shelf:
    """A place in memory, with switches."""

    def __init__(self, *keys: DataKey, usable: bool = True) -> None:
        self.kept = keys
        self.usable = usable
        self.broken = False

    def describe(self) -> str:
        """What it is."""
        return "the shelf"

    def is_usable(self) -> bool:
        """As it is told."""
        return self.usable

    def held(self) -> tuple[DataKey, ...]:
        """The keys."""
        if self.broken:
            raise StoreError("the shelf is locked", hint="unlock it")
        return self.kept

    def put(self, keys: Sequence[DataKey]) -> None:
        """Keep them."""
        self.held()
        self.kept = tuple(keys)


def keychain(
    state: Path,
    keyring: Shelf | None = None,
    credential: Shelf | None = None,
    wanted: Place | Literal["auto"] = "auto",
) -> Keychain:
    """Return the keys of a machine with these places; not given ones are not usable."""
    places: dict[Place, KeyPlace] = {
        "keyring": keyring or Shelf(usable=False),
        "credential": credential or Shelf(usable=False),
        "file": KeyFile(state / "data.key"),
    }
    return Keychain(state, places, wanted)


def test_the_best_usable_place_is_chosen_and_noted(tmp_path: Path) -> None:
    """Keyring before credential before file."""
    shelf = Shelf()
    key = keychain(tmp_path / "1", keyring=shelf).current()
    assert shelf.kept == (key,)
    assert keychain(tmp_path / "2", credential=Shelf(NEW)).current() == NEW
    key = keychain(tmp_path / "3").current()
    assert KeyFile(tmp_path / "3" / "data.key").held() == (key,)
    notes = [(tmp_path / folder / "data-key.place").read_text().strip() for folder in "123"]
    assert notes == ["keyring", "credential", "file"]


def test_there_is_no_silent_step_down(tmp_path: Path) -> None:
    """A keyring that was chosen and is locked now is an error; no key file is made beside it."""
    shelf = Shelf()
    keychain(tmp_path, keyring=shelf).current()
    shelf.broken, shelf.usable = True, False
    for _ in range(2):
        with pytest.raises(StoreError, match="locked"):
            keychain(tmp_path, keyring=shelf).current()
    assert not (tmp_path / "data.key").exists()
    shelf.broken, shelf.kept = False, ()
    with pytest.raises(StoreError, match="gone from the shelf"):
        keychain(tmp_path, keyring=shelf).current()


def test_a_step_down_at_the_first_key_is_told(tmp_path: Path) -> None:
    """A keyring that seems usable and takes nothing."""
    shelf = Shelf()
    shelf.broken = True
    with capture_logs() as lines:
        keychain(tmp_path, keyring=shelf).current()
    assert next((line["log_level"], line.get("error")) for line in lines) == ("warning", "the shelf is locked")
    assert keychain(tmp_path, keyring=shelf).describe() == f"key file {tmp_path / 'data.key'}"


def test_a_place_that_is_asked_for_is_not_stepped_down_from(tmp_path: Path) -> None:
    """store.key names one."""
    shelf = Shelf()
    shelf.broken = True
    with pytest.raises(StoreError, match="locked"):
        keychain(tmp_path, keyring=shelf, wanted="keyring").current()
    assert not (tmp_path / "data.key").exists()


def test_a_key_file_of_the_first_version_stays(tmp_path: Path) -> None:
    """It has no note beside it; a keyring that is there now does not take its place unasked."""
    KeyFile(tmp_path / "data.key").put([OLD])
    assert keychain(tmp_path, keyring=Shelf()).current() == OLD
    with pytest.raises(StoreError, match=r"store\.key is 'keyring'") as caught:
        keychain(tmp_path, keyring=Shelf(), wanted="keyring").current()
    assert caught.value.hint == "run: jmap-proxy store rekey --to keyring"


def test_status_can_say_where_the_key_is(tmp_path: Path) -> None:
    """Also before there is one."""
    assert "key file" in keychain(tmp_path).describe()
    assert "nothing is stored yet" in keychain(tmp_path).describe()
    keychain(tmp_path, keyring=Shelf()).current()
    assert keychain(tmp_path, keyring=Shelf(NEW)).describe() == "the shelf"
    assert "the shelf (nothing" in keychain(tmp_path / "other", credential=Shelf(), wanted="credential").describe()


def test_a_note_that_cannot_be_understood_is_told(tmp_path: Path) -> None:
    """A newer program's, maybe."""
    (tmp_path / "data-key.place").write_text("tpm\n")
    (tmp_path / "data-key.place").chmod(0o600)
    with pytest.raises(StoreError, match="names no place") as caught:
        keychain(tmp_path).current()
    assert "keyring, credential, file" in caught.value.hint


def test_of_racing_threads_all_get_the_same_key(tmp_path: Path) -> None:
    """The first one makes it."""
    with ThreadPool(8) as pool:
        assert len(set(pool.map(lambda _: keychain(tmp_path).current(), range(32)))) == 1


@pytest.mark.parametrize("to", [None, "keyring"])
def test_during_a_rekey_old_and_new_keys_are_found(tmp_path: Path, to: Place | None) -> None:
    """At the old place or another one; afterwards only the new one is anywhere."""
    shelf = Shelf()
    KeyFile(tmp_path / "data.key").put([OLD])
    new = keychain(tmp_path, keyring=shelf).begin_rekey(to)
    for chain in (keychain(tmp_path, keyring=shelf), keychain(tmp_path, keyring=shelf)):
        assert (chain.current(), chain.find(OLD.key_id), chain.find(new.key_id)) == (new, OLD, new)
    keychain(tmp_path, keyring=shelf).end_rekey(new)
    assert keychain(tmp_path, keyring=shelf).find(OLD.key_id) is None
    assert (shelf.kept, KeyFile(tmp_path / "data.key").held()) == (((new,), ()) if to else ((), (new,)))


def test_a_rekey_to_a_credential_takes_the_key_that_is_there(tmp_path: Path) -> None:
    """It can be read only."""
    KeyFile(tmp_path / "data.key").put([OLD])
    assert keychain(tmp_path, credential=Shelf(NEW)).begin_rekey("credential") == NEW


def test_a_rekey_leaves_what_does_not_answer(tmp_path: Path) -> None:
    """The old key stays in a keyring that is locked just then, where it opens nothing any more; that is told."""
    shelf = Shelf()
    keychain(tmp_path, keyring=shelf).current()
    new = keychain(tmp_path, keyring=shelf).begin_rekey("file")
    shelf.broken = True
    with capture_logs() as lines:
        keychain(tmp_path, keyring=shelf).end_rekey(new)
    assert [line["event"] for line in lines] == ["old data key stays where it is"]
    again = keychain(tmp_path, keyring=shelf)
    assert (again.current(), again.find(OLD.key_id), len(shelf.kept)) == (new, None, 1)


def test_the_places_of_this_machine(tmp_path: Path) -> None:
    """All of the ladder."""
    assert set(key_places(tmp_path, {})) == {"keyring", "credential", "file"}

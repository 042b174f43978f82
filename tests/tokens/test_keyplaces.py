import base64
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.datakey import DataKey, format_keys
from jmap_proxy.tokens.keyplaces import CREDENTIAL, CredentialKey, KeyFile, KeyringKey
from tests.support.keyring_backend import FILE, FileKeyring

OLD, NEW = DataKey(b"o" * 32), DataKey(b"n" * 32)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a keyring that works, by its file."""
    before = keyring.get_keyring()
    monkeypatch.setenv(FILE, str(tmp_path / "keyring.json"))
    keyring.set_keyring(FileKeyring())  # type: ignore[no-untyped-call]
    yield tmp_path / "keyring.json"
    keyring.set_keyring(before)


def credential(folder: Path, content: bytes) -> CredentialKey:
    """Return a place with this credential, as systemd gives it."""
    (folder / CREDENTIAL).write_bytes(content)
    (folder / CREDENTIAL).chmod(0o400)
    return CredentialKey({"CREDENTIALS_DIRECTORY": str(folder)})


def test_a_file_holds_its_keys_in_order(tmp_path: Path) -> None:
    """0600; nothing put there is no key, and no key at all removes the file."""
    place = KeyFile(tmp_path / "state" / "data.key")
    assert (place.held(), place.is_usable()) == ((), True)
    place.put([OLD, NEW])
    assert KeyFile(tmp_path / "state" / "data.key").held() == (OLD, NEW)
    assert (tmp_path / "state" / "data.key").stat().st_mode & 0o777 == 0o600
    place.put([])
    assert not (tmp_path / "state" / "data.key").exists()


@pytest.mark.parametrize("content", [b"", b"no base64!", base64.b64encode(b"short")])
def test_a_damaged_key_file_is_told(tmp_path: Path, content: bytes) -> None:
    """With its name and what to do."""
    path = tmp_path / "data.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=f"{path} does not hold a data key") as caught:
        KeyFile(path).held()
    assert "backup" in caught.value.hint


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    """A key that others could read is not used."""
    KeyFile(tmp_path / "data.key").put([NEW])
    (tmp_path / "data.key").chmod(0o644)
    with pytest.raises(StoreError, match="can be used by others"):
        KeyFile(tmp_path / "data.key").held()


def test_a_credential_is_read_and_never_written(tmp_path: Path) -> None:
    """It is systemd's; to put there what is there already changes nothing."""
    place = credential(tmp_path, format_keys([NEW]))
    assert (place.held(), place.is_usable()) == ((NEW,), True)
    place.put([NEW])
    with pytest.raises(StoreError, match="systemd's to change") as caught:
        place.put([OLD, NEW])
    assert CREDENTIAL in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_bad_credential_is_told_and_not_chosen(tmp_path: Path, content: bytes) -> None:
    """A key is not guessed at."""
    place = credential(tmp_path, content)
    assert not place.is_usable()
    with pytest.raises(StoreError, match="does not hold a data key"):
        place.held()


def test_without_systemd_there_is_no_credential(tmp_path: Path) -> None:
    """Neither where the variable is missing nor where the folder is empty."""
    for environment in ({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}):
        assert (CredentialKey(environment).held(), CredentialKey(environment).is_usable()) == ((), False)


def test_a_keyring_keeps_a_key_for_each_state_folder(desktop: Path, tmp_path: Path) -> None:
    """Under the folder's name, so that two installations do not mix."""
    place, other = KeyringKey(tmp_path / "a"), KeyringKey(tmp_path / "b")
    assert (place.held(), place.is_usable()) == ((), True)
    place.put([OLD, NEW])
    assert (KeyringKey(tmp_path / "a").held(), other.held()) == ((OLD, NEW), ())
    place.put([])
    place.put([])
    assert place.held() == ()
    assert desktop.read_text() == "{}"


def test_a_locked_keyring_is_told(desktop: Path, tmp_path: Path) -> None:
    """What it needs is said; its own text is left out."""
    desktop.write_text("locked")
    for action in (KeyringKey(tmp_path).held, lambda: KeyringKey(tmp_path).put([NEW])):
        with pytest.raises(StoreError, match="KeyringLocked") as caught:
            action()
        assert "unlock" in caught.value.hint
        assert caught.value.retry_after


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring])
@pytest.mark.usefixtures("desktop")
def test_what_keeps_nothing_is_not_usable(backend: type, tmp_path: Path) -> None:
    """A machine without a desktop; to put a key there all the same is an error, not a loss."""
    keyring.set_keyring(backend())
    assert not KeyringKey(tmp_path).is_usable()
    with pytest.raises(StoreError):
        KeyringKey(tmp_path).put([NEW])

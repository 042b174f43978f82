import multiprocessing
import os
from pathlib import Path

import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.local_keys import FILE_NAME, LocalKeys, digest, new_key
from jmap_proxy.locks import file_lock

DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"digests": {"alice": 1}}',
    b'{"more": 1}',
    b'{"digests": {}, "schema_version": 2}',
]


@pytest.fixture
def keys(tmp_path: Path) -> LocalKeys:
    """Return the keys of a state folder that is not there yet."""
    return LocalKeys(tmp_path / "state")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of the keys."""
    return tmp_path / "state" / FILE_NAME


def test_a_key_opens_its_account_only(keys: LocalKeys) -> None:
    """Each key stands for one account; anything else for none."""
    alice, bob = keys.renew("alice"), keys.renew("bob")
    assert keys.account_of(alice) == "alice"
    assert keys.account_of(bob) == "bob"
    for wrong in ("", "alice", alice[:-1], alice.upper(), digest(alice), "\udcff", "\ud800"):
        assert keys.account_of(wrong) is None


def test_without_a_file_there_are_no_keys(keys: LocalKeys, file: Path) -> None:
    """Looking makes no file."""
    assert keys.account_of(new_key()) is None
    assert keys.has_key("alice") is False
    assert not file.exists()


def test_only_the_hash_is_stored(keys: LocalKeys, file: Path) -> None:
    """The file is 0600 and does not hold the key."""
    key = keys.renew("alice")
    assert keys.has_key("alice") is True
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.encode() not in file.read_bytes()
    assert key.removeprefix("jp").encode() not in file.read_bytes()


def test_a_new_key_ends_the_old_one_everywhere_at_once(keys: LocalKeys, tmp_path: Path) -> None:
    """A running proxy, which has its own object, knows with the next request."""
    running = LocalKeys(tmp_path / "state")
    old = keys.renew("alice")
    assert running.account_of(old) == "alice"
    for _ in range(10):
        new = keys.renew("alice")
        assert running.account_of(old) is None
        assert running.account_of(new) == "alice"
        old = new


def test_the_digests_are_those_of_the_keys_that_open_something(keys: LocalKeys, file: Path, tmp_path: Path) -> None:
    """As the file has it at each call; none without a file, and an error while it cannot be read."""
    running = LocalKeys(tmp_path / "state")
    assert running.digests() == set()
    old, bob = keys.renew("alice"), keys.renew("bob")
    assert running.digests() == {digest(old), digest(bob)}
    new = keys.renew("alice")
    assert running.digests() == {digest(new), digest(bob)}
    keys.remove("bob")
    assert running.digests() == {digest(new)}
    file.write_bytes(b"damaged")
    with pytest.raises(StoreError):
        running.digests()


def test_a_removed_key_opens_nothing(keys: LocalKeys, file: Path, tmp_path: Path) -> None:
    """Removal takes the account's key away and leaves the others; so does the removal of the file."""
    running = LocalKeys(tmp_path / "state")
    alice, bob = keys.renew("alice"), keys.renew("bob")
    assert running.account_of(alice) == "alice"
    keys.remove("alice")
    keys.remove("carol")
    assert (running.account_of(alice), running.account_of(bob)) == (None, "bob")
    file.unlink()
    assert running.account_of(bob) is None


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_left_alone(keys: LocalKeys, file: Path, content: bytes) -> None:
    """Every use is an error that names the file, and a new key does not overwrite it."""
    keys.renew("alice")
    file.write_bytes(content)
    for use in (keys.account_of, keys.has_key, keys.renew, keys.remove):
        with pytest.raises(StoreError, match=f"{file} is damaged") as caught:
            use("alice")
        assert "jmap-proxy key" in caught.value.hint
    assert file.read_bytes() == content


def test_a_file_open_to_others_is_refused(keys: LocalKeys, file: Path) -> None:
    """Keys that others could have put there open nothing."""
    key = keys.renew("alice")
    file.chmod(0o666)
    with pytest.raises(StoreError, match="can be used by others"):
        keys.has_key("alice")
    with pytest.raises(StoreError, match="can be used by others"):
        keys.account_of(key)


def test_a_state_folder_that_is_none_is_told(tmp_path: Path) -> None:
    """A file in the folder's place is a clear error."""
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(StoreError, match="Not a directory"):
        LocalKeys(tmp_path / "state").account_of("key")


def test_a_lock_that_cannot_be_made_is_told(keys: LocalKeys, file: Path) -> None:
    """Something else in the lock file's place is named."""
    keys.renew("alice")
    lock = file.with_suffix(".lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(StoreError, match=str(lock)):
        keys.renew("alice")


def test_a_lock_that_is_held_for_long_is_told(file: Path) -> None:
    """After the patience is over the error says what to look for."""
    impatient = LocalKeys(file.parent, lock_patience=0.0)
    impatient.renew("alice")
    with (
        file_lock(file.with_suffix(".lock"), 1),
        pytest.raises(StoreError, match="held by another process"),
    ):
        impatient.renew("alice")


def _renew(job: tuple[Path, str]) -> tuple[str, int]:
    folder, account = job
    LocalKeys(folder).renew(f"{account}-other")
    return LocalKeys(folder).renew(account), os.getpid()


def test_processes_do_not_lose_each_others_keys(keys: LocalKeys, tmp_path: Path) -> None:
    """Keys that two processes make at the same time are all there afterwards."""
    accounts = [f"account-{number}" for number in range(12)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.map(_renew, [(tmp_path / "state", account) for account in accounts], chunksize=1)
        pool.close()
        pool.join()
    assert [keys.account_of(key) for key, _ in made] == accounts
    assert all(keys.has_key(f"{account}-other") for account in accounts)


def test_keys_are_random_and_need_no_quoting() -> None:
    """66 characters that can stand in a URL, a shell and a header."""
    assert new_key() != new_key()
    assert len(new_key()) == 66
    assert new_key().isalnum()

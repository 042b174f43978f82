import asyncio
import multiprocessing
import os
import stat
import string
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens import load_tokens, save_tokens
from jmap_proxy.tokens.datakey import DataKey
from jmap_proxy.tokens.envelope import _encrypted, seal
from jmap_proxy.tokens.journal import Attempt
from jmap_proxy.tokens.keychain import Keychain
from jmap_proxy.tokens.losses import Loss
from jmap_proxy.tokens.refusal import Refusal
from jmap_proxy.tokens.store import FileTokenStore, read_tokens, token_file, write_tokens
from jmap_proxy.tokens.tokenset import SCHEMA_VERSION
from tests.tokens.builders import NOW, renamed, token_set

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
ODD_NAMES = ["..", ".", "a/b", "../../etc/passwd", "a.lock", "é" * 100, "ann@example.com", "%2e", "a\\b", "%"]


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    """Return what is in the folder."""
    return sorted(path.name for path in folder.iterdir())


def assert_untouched(folder: Path, keys: Keychain, path: Path, because: str) -> None:
    """See that loading and saving both fail with an error that names the file, and leave its bytes alone."""
    before = path.read_bytes()
    reading = partial(read_tokens, folder, "alice", keys)
    writing = partial(write_tokens, folder, token_set(9), keys)
    for attempt in (reading, writing):
        with pytest.raises(StoreError, match=because) as caught:
            attempt()
        assert str(path) in caught.value.detail
        assert caught.value.hint
    assert path.read_bytes() == before


async def test_what_is_saved_is_loaded(folder: Path, keys: Keychain) -> None:
    """Tokens come back whole; an account without a file has none."""
    assert await load_tokens(folder, "alice", keys) is None
    await save_tokens(folder, token_set(3), keys)
    assert await load_tokens(folder, "alice", keys) == token_set(3)
    assert await load_tokens(folder, "bob", keys) is None


def test_files_are_private_and_encrypted(folder: Path, keys: Keychain) -> None:
    """The file is 0600 in a 0700 folder, whatever the umask, and holds no token in the clear."""
    before = os.umask(0)
    try:
        write_tokens(folder, token_set(), keys)
    finally:
        os.umask(before)
    path = token_file(folder, "alice")
    assert (mode(path), mode(folder)) == (0o600, 0o700)
    assert not [secret for secret in (b"access-1", b"refresh-1", b"alice") if secret in path.read_bytes()]


def test_saving_leaves_nothing_behind(folder: Path, keys: Keychain) -> None:
    """After a save the folder holds the file, the previous one and no temporary one."""
    write_tokens(folder, token_set(1), keys)
    write_tokens(folder, token_set(2), keys)
    assert names(folder) == ["alice.jwe", "alice.previous"]


def _die_before_the_rename(folder: Path, keys: Keychain) -> None:
    Path.replace = lambda *_: os._exit(9)  # type: ignore[method-assign]
    write_tokens(folder, token_set(2), keys)


def test_a_crash_before_the_rename_keeps_the_old_tokens(folder: Path, keys: Keychain) -> None:
    """A process that dies between write and rename leaves the old file whole, and its leftovers hurt nobody."""
    write_tokens(folder, token_set(1), keys)
    process = multiprocessing.get_context("spawn").Process(target=_die_before_the_rename, args=(folder, keys))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert len(list(folder.iterdir())) == 2
    assert read_tokens(folder, "alice", keys) == token_set(1)
    write_tokens(folder, token_set(3), keys)
    assert read_tokens(folder, "alice", keys) == token_set(3)


@pytest.mark.parametrize("permissions", [0o644, 0o640, 0o602])
def test_a_file_open_to_others_is_refused(folder: Path, keys: Keychain, permissions: int) -> None:
    """The hint is the chmod that mends it."""
    write_tokens(folder, token_set(), keys)
    path = token_file(folder, "alice")
    path.chmod(permissions)
    assert_untouched(folder, keys, path, "can be used by others")
    with pytest.raises(StoreError) as caught:
        read_tokens(folder, "alice", keys)
    assert caught.value.hint == f"run: chmod 600 {path}"


def test_an_open_folder_is_refused(folder: Path, keys: Keychain) -> None:
    """Nothing is written into a folder that others can enter."""
    write_tokens(folder, token_set(), keys)
    folder.chmod(0o755)
    with pytest.raises(StoreError, match="can be used by others"):
        write_tokens(folder, token_set(2), keys)
    assert read_tokens(folder, "alice", keys) == token_set()


def test_a_link_is_refused(folder: Path, keys: Keychain, tmp_path: Path) -> None:
    """A link is not followed, neither to read nor to write."""
    write_tokens(folder, token_set(), keys)
    path = token_file(folder, "alice")
    target = path.rename(tmp_path / "elsewhere")
    path.symlink_to(target)
    assert_untouched(folder, keys, path, "symbolic link")
    assert path.is_symlink()


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\x00", b"a.b.c.d.e", b"e30.b.c.d.e"])
def test_a_damaged_file_is_left_alone(folder: Path, keys: Keychain, content: bytes) -> None:
    """What is no envelope is told as damaged."""
    write_tokens(folder, token_set(), keys)
    path = token_file(folder, "alice")
    path.write_bytes(content)
    assert_untouched(folder, keys, path, "damaged")


def test_a_file_of_another_key_is_left_alone(folder: Path, keys: Keychain) -> None:
    """A file from another installation is told as such."""
    write_tokens(folder, token_set(), keys)
    path = token_file(folder, "alice")
    path.write_bytes(seal(token_set(), DataKey(b"x" * 32)))
    assert_untouched(folder, keys, path, "its data key [0-9a-f]{16} is missing")


def test_a_file_of_another_account_is_left_alone(folder: Path, keys: Keychain) -> None:
    """A copied file does not sign one account in as the other."""
    write_tokens(folder, token_set(account="bob"), keys)
    path = token_file(folder, "bob").rename(token_file(folder, "alice"))
    assert_untouched(folder, keys, path, "account 'bob'")


def test_a_file_of_a_newer_program_is_left_alone(folder: Path, keys: Keychain) -> None:
    """A newer form is not guessed at, and not taken for damage."""
    write_tokens(folder, token_set(), keys)
    path = token_file(folder, "alice")
    path.write_bytes(seal(token_set(schema_version=SCHEMA_VERSION + 1), keys.current()))
    assert_untouched(
        folder, keys, path, f"written in form {SCHEMA_VERSION + 1}, this program reads forms 1 to {SCHEMA_VERSION}"
    )


def test_without_its_data_key_a_file_is_left_alone(folder: Path, keys: Keychain, tmp_path: Path) -> None:
    """A lost key is told, with the place where it was; no new one is made in its stead."""
    write_tokens(folder, token_set(), keys)
    key_file = tmp_path / "state" / "data.key"
    key_file.unlink()
    assert_untouched(folder, keys, token_file(folder, "alice"), f"its data key .* is missing .*{key_file}")
    assert not key_file.exists()


def test_a_damaged_data_key_is_left_alone(folder: Path, keys: Keychain, tmp_path: Path) -> None:
    """A key file that holds no key fails loading and saving, and keeps its bytes."""
    write_tokens(folder, token_set(), keys)
    key_file = tmp_path / "state" / "data.key"
    key_file.write_bytes(b"not a key")
    with pytest.raises(StoreError, match="does not hold a data key"):
        read_tokens(folder, "alice", keys)
    with pytest.raises(StoreError, match="does not hold a data key"):
        write_tokens(folder, token_set(2), keys)
    assert key_file.read_bytes() == b"not a key"


async def test_removing_forgets(store: FileTokenStore) -> None:
    """After a removal there are no tokens; a second one has nothing to do."""
    await store.save(token_set())
    assert await store.load() == token_set()
    assert await store.remove() is True
    assert await store.load() is None
    assert await store.remove() is False


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_account_names_stay_in_the_folder(folder: Path, keys: Keychain, name: str) -> None:
    """Any name gives a file of its own inside the folder."""
    write_tokens(folder, token_set(account=name), keys)
    assert read_tokens(folder, name, keys) == token_set(account=name)
    (only,) = folder.iterdir()
    assert only.is_file()


@given(first=NAMES, second=NAMES)
def test_account_names_do_not_collide(first: str, second: str) -> None:
    """Two accounts never share a file, and no file's name can mean a path or be too long for a disk."""
    one, other = (token_file(Path("/f"), name) for name in (first, second))
    assert (one == other) == (first == second)
    assert one.parent == Path("/f")
    assert set(one.name) <= set(string.ascii_letters + string.digits + "_.-~@+%=")
    assert len(one.name) < 230
    assert one.with_suffix(".lock") != other


def test_the_stored_form_has_absolute_times_and_a_version() -> None:
    """The fields that are stored are these, so that a later version can tell what it reads."""
    stored = msgspec.to_builtins(token_set())
    assert stored["schema_version"] == SCHEMA_VERSION
    assert stored["expires_at"] - stored["obtained_at"] == 3600


def test_a_damaged_file_is_stood_in_for_by_the_previous_one(folder: Path, keys: Keychain) -> None:
    """Where the provider keeps its refresh tokens; the damaged file is set aside when the next one is written."""
    for generation in (1, 2):
        write_tokens(folder, token_set(generation, rotation="no"), keys)
    path = token_file(folder, "alice")
    path.write_bytes(b"damaged")
    assert read_tokens(folder, "alice", keys) == token_set(1, rotation="no")
    write_tokens(folder, token_set(3), keys)
    assert read_tokens(folder, "alice", keys) == token_set(3)
    assert path.with_suffix(".damaged").read_bytes() == b"damaged"


@pytest.mark.parametrize("rotation", ["unknown", "yes"])
def test_a_spent_refresh_token_stands_in_for_nothing(folder: Path, keys: Keychain, rotation: str) -> None:
    """To send it would make a strict provider revoke the sign-in that another process still has in memory."""
    for generation in (1, 2):
        write_tokens(folder, token_set(generation, rotation=rotation), keys)
    path = token_file(folder, "alice")
    path.write_bytes(b"damaged")
    assert_untouched(folder, keys, path, "damaged")


def test_a_newer_programs_file_is_not_stood_in_for(folder: Path, keys: Keychain) -> None:
    """It is not damaged."""
    for generation in (1, 2):
        write_tokens(folder, token_set(generation, rotation="no"), keys)
    path = token_file(folder, "alice")
    path.write_bytes(seal(token_set(3, schema_version=SCHEMA_VERSION + 1, rotation="no"), keys.current()))
    assert_untouched(folder, keys, path, f"written in form {SCHEMA_VERSION + 1}")


def test_another_sign_in_never_stands_in(folder: Path, keys: Keychain) -> None:
    """It may be another user's: a damaged file must not open somebody else's mail."""
    for generation in (1, 2):
        write_tokens(folder, token_set(generation, rotation="no"), keys)
    write_tokens(folder, token_set(1, sign_in_id="second", rotation="no"), keys)
    path = token_file(folder, "alice")
    assert not path.with_suffix(".previous").exists()
    path.write_bytes(b"damaged")
    assert_untouched(folder, keys, path, "damaged")


async def test_what_is_forgotten_is_gone_with_all_that_stood_beside_it(folder: Path, keys: Keychain) -> None:
    """After a sign-out no generation, no open attempt and no refusal is left."""
    store = FileTokenStore(folder, "alice", keys)
    for generation in (1, 2):
        await store.save(token_set(generation))
    await store.begin_attempt(Attempt.of(token_set(2), NOW))
    await store.note_refusal(Refusal.of(token_set(2), "refused", NOW))
    assert await store.remove()
    assert names(folder) == []


async def test_attempts_and_losses_are_kept_beside_the_tokens(folder: Path, keys: Keychain) -> None:
    """An attempt until it has ended, the last ten losses for ever; a damaged note counts as none."""
    store = FileTokenStore(folder, "alice", keys)
    await store.save(token_set())
    assert await store.attempt() is None
    attempt = Attempt.of(token_set(), NOW)
    await store.begin_attempt(attempt)
    assert await FileTokenStore(folder, "alice", keys).attempt() == attempt
    await store.end_attempt()
    assert await store.attempt() is None
    known = [await store.note_loss(Loss(float(number), NOW)) for number in range(12)][-1]
    assert [loss.signed_in_at for loss in known] == [float(number) for number in range(2, 12)]
    assert await store.refusal() is None
    refusal = Refusal.of(token_set(), "refused", NOW)
    await store.note_refusal(refusal)
    assert await FileTokenStore(folder, "alice", keys).refusal() == refusal
    for suffix in (".attempt", ".losses", ".refused"):
        store.path.with_suffix(suffix).write_bytes(b"{")
        store.path.with_suffix(suffix).chmod(0o600)
    assert await store.attempt() is None
    assert await store.refusal() is None
    assert await store.note_loss(Loss(1.0, 2.0)) == [Loss(1.0, 2.0)]


def test_a_file_of_the_first_version_is_read_and_written_anew(folder: Path, keys: Keychain) -> None:
    """Encrypted then as now; the next save brings it into the present form."""
    old = msgspec.to_builtins(token_set(5)) | {"schema_version": 1}
    del old["signed_in_at"], old["rotation"]
    write_tokens(folder, token_set(1), keys)
    token_file(folder, "alice").write_bytes(_encrypted(msgspec.json.encode(old), keys.current()))
    assert read_tokens(folder, "alice", keys) == token_set(5)
    write_tokens(folder, token_set(6), keys)
    assert read_tokens(folder, "alice", keys) == token_set(6)


async def test_a_loss_is_told_by_one(folder: Path, keys: Keychain) -> None:
    """Of all processes, however often they ask, also after a restart; the next sign-in's loss by one again."""
    stores = [FileTokenStore(folder, "alice", keys) for _ in range(5)]
    for sign_in_id in ("first", "second"):
        told = await asyncio.gather(*(store.first_to_tell(sign_in_id) for store in stores))
        assert sum(told) == 1
        assert await FileTokenStore(folder, "alice", keys).first_to_tell(sign_in_id) is False
    assert mode(folder / "alice.told") == 0o600


async def test_a_damaged_file_makes_room_for_what_came_from_it(store: FileTokenStore) -> None:
    """For tokens of the sign-in that this store has held; it is set aside, and goes with the sign-out."""
    await store.save(token_set())
    store.path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        await store.save(token_set(2, sign_in_id="second"))
    await store.save(token_set(2))
    assert await store.load() == token_set(2)
    damaged = store.path.with_suffix(".damaged")
    assert damaged.read_bytes() == b"damaged"
    await store.remove()
    assert not damaged.exists()


async def test_a_store_that_has_seen_nothing_leaves_a_damaged_file(folder: Path, keys: Keychain) -> None:
    """It cannot know what stood there."""
    await FileTokenStore(folder, "alice", keys).save(token_set())
    store = FileTokenStore(folder, "alice", keys)
    store.path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        await store.save(token_set(2))
    assert store.path.read_bytes() == b"damaged"


@pytest.mark.parametrize("content", [b"garbage", None])
def test_an_unreadable_generation_before_speaks_against_nothing(
    folder: Path, keys: Keychain, content: bytes | None
) -> None:
    """It may be as damaged as the last one."""
    for generation in (1, 2):
        write_tokens(folder, token_set(generation), keys)
    path = token_file(folder, "alice")
    path.write_bytes(b"damaged")
    previous = path.with_suffix(".previous")
    previous.unlink() if content is None else previous.write_bytes(content)
    write_tokens(folder, token_set(3), keys, over_damaged=True)
    assert read_tokens(folder, "alice", keys) == token_set(3)


@pytest.mark.parametrize("file", ["newer", "open"])
def test_only_a_damaged_file_makes_room(folder: Path, keys: Keychain, file: str) -> None:
    """One of a newer program, or one that others could have read, stays."""
    write_tokens(folder, token_set(), keys)
    path = token_file(folder, "alice")
    if file == "newer":
        path.write_bytes(seal(token_set(schema_version=SCHEMA_VERSION + 1), keys.current()))
    else:
        path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(StoreError):
        write_tokens(folder, token_set(2), keys, over_damaged=True)
    assert path.read_bytes() == before


async def test_a_folder_that_has_gone_is_no_sign_out(store: FileTokenStore, folder: Path) -> None:
    """It is not made anew either: what is written there would be hidden when its disk is mounted again."""
    assert await store.load() is None
    await store.save(token_set())
    away = renamed(folder, "away")
    with pytest.raises(StoreError, match=f"{folder} is not there any more"):
        await store.load()
    with pytest.raises(StoreError, match=f"{folder} is not there any more"):
        async with store.lock():
            raise AssertionError
    assert len(list(away.parent.glob("tokens"))) == 0
    renamed(away, "tokens")
    assert await store.load() == token_set()
    await store.remove()
    assert await store.load() is None
    renamed(folder, "away")
    async with store.lock():
        assert await store.load() is None


async def test_a_note_of_a_newer_program_counts_as_open(store: FileTokenStore) -> None:
    """Not as none, as a damaged one does."""
    await store.save(token_set())
    path = store.path.with_suffix(".attempt")
    path.write_bytes(b'{"schema_version": 2}')
    path.chmod(0o600)
    attempt = await store.attempt()
    assert attempt is not None
    assert attempt.concerns(token_set())


class Rekeying:
    """Data keys of which a newer one comes while tokens are written with the old one."""

    def __init__(self) -> None:
        self.old, self.new = DataKey.new(), DataKey.new()
        self.is_gone = False
        self._asked = 0

    def describe(self) -> str:
        """Tell nothing."""
        return ""

    def find(self, key_id: str) -> DataKey | None:
        """The old one is found until it is taken away, as a rekey does at its end."""
        known = [self.new] if self.is_gone else [self.old, self.new]
        return next((key for key in known if key.key_id == key_id), None)

    def current(self) -> DataKey:
        """The old one, and from the second time on the new one."""
        self._asked += 1
        return self.old if self._asked == 1 else self.new


def test_a_rekey_during_a_write_leaves_nothing_unreadable(folder: Path) -> None:
    """What was sealed with the key that has just been replaced is sealed anew, before that one is taken away."""
    keys = Rekeying()
    write_tokens(folder, token_set(), keys)
    keys.is_gone = True
    assert read_tokens(folder, "alice", keys) == token_set()

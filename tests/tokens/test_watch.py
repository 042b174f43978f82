from pathlib import Path

import pytest

from jmap_proxy import files
from jmap_proxy.errors import StoreError
from jmap_proxy.tokens import TokenRefresher, create_token_refresher, save_tokens
from jmap_proxy.tokens.keychain import Keychain, key_places
from jmap_proxy.tokens.outcome import Outcome, Transient
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.store import FileTokenStore
from jmap_proxy.tokens.tokenset import TokenSet
from jmap_proxy.tokens.watch import FULL_LOOK, FURTHER_LOOKS, StoreWatch
from tests.support.clock import Clock
from tests.tokens.builders import token_set


async def nobody(_tokens: TokenSet) -> Outcome:
    """A provider that is never to be asked."""
    raise AssertionError("the provider was asked")


async def signed_in(folder: Path) -> tuple[FileTokenStore, TokenRefresher, StoreWatch]:
    """An account that is signed in, and the watch over its file."""
    store = FileTokenStore(folder / "tokens", "alice", Keychain(folder, key_places(folder, {}), "file"))
    await store.save(token_set())
    refresher = await create_token_refresher("alice", store, nobody, clock=Clock())
    return store, refresher, StoreWatch({store.path: refresher})


async def test_a_new_sign_in_is_taken_up_while_the_old_token_lives(tmp_path: Path) -> None:
    """Someone who signs in anew, for other scopes or as another user, does not wait for the old token's end."""
    store, refresher, watch = await signed_in(tmp_path)
    await store.save(token_set(access_token="anew", sign_in_id="second"))
    await watch.look()
    assert await refresher.ensure_valid_token() == "anew"


async def test_a_sign_out_is_taken_up(tmp_path: Path) -> None:
    """After a sign-out by another process the token in memory is not used any more; a later sign-in is seen too."""
    store, refresher, watch = await signed_in(tmp_path)
    await store.remove()
    await watch.look()
    assert refresher.report().state is State.NEEDS_LOGIN
    await store.save(token_set(access_token="anew", sign_in_id="second"))
    await watch.look()
    assert await refresher.ensure_valid_token() == "anew"


async def watched(folder: Path) -> tuple[FileTokenStore, TokenRefresher, StoreWatch, list[Path]]:
    """As `signed_in`, and the files of the sign-ins that were told to have ended."""
    store, refresher, _ = await signed_in(folder)
    ended = list[Path]()
    return store, refresher, StoreWatch({store.path: refresher}, ended.append), ended


async def test_the_end_of_a_sign_in_is_told_once(tmp_path: Path) -> None:
    """Whether another process has signed the account out, or in anew; a first sign-in ends nothing."""
    store, _, watch, ended = await watched(tmp_path)
    await watch.look()
    assert ended == []
    await store.save(token_set(access_token="anew", sign_in_id="second"))
    await watch.look()
    assert ended == [store.path]
    await store.remove()
    await watch.look()
    await watch.look()
    assert ended == [store.path] * 2
    await store.save(token_set(sign_in_id="third"))
    await watch.look()
    assert ended == [store.path] * 2


async def test_a_sign_out_that_a_refresh_has_seen_first_is_told_too(tmp_path: Path) -> None:
    """The file says nothing new to the watch then."""
    store, refresher, watch, ended = await watched(tmp_path)
    await watch.look()
    await store.remove()
    await refresher.look()
    await watch.look()
    assert ended == [store.path]


async def test_a_refresh_is_no_end_of_a_sign_in(tmp_path: Path) -> None:
    """Nor is a file that cannot be read."""
    store, refresher, watch, ended = await watched(tmp_path)
    await store.save(token_set(access_token="access-2", generation=2))
    await watch.look()
    assert await refresher.ensure_valid_token() == "access-2"
    store.path.write_bytes(b"damaged, and of another length")
    await watch.look()
    assert ended == []


class Looks:
    """Counts the looks, and fails when it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.sign_in_id = ""

    async def look(self) -> None:
        """Look."""
        self.count += 1
        if self.error is not None:
            raise self.error


class Stats:
    """Counts who is looked at, and tells what it is told of a folder."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.folder: files.Identity | None = None

    def identity(self, path: Path) -> files.Identity | None:
        """As `files.identity`; the folder's as it was set, where it was."""
        self.asked.append(path)
        return self.folder if self.folder and path.is_dir() else files.identity(path)


async def test_a_file_is_looked_at_once_and_then_when_it_changes(tmp_path: Path) -> None:
    """At first in any case, since it may have changed after it was loaded."""
    file, looks = tmp_path / "alice.jwe", Looks()
    file.write_text("x")
    watch = StoreWatch({file: looks})
    for _ in range(3):
        await watch.look()
    assert looks.count == 1
    file.with_suffix(".new").write_text("y")
    file.with_suffix(".new").replace(file)
    await watch.look()
    assert looks.count == 2


@pytest.mark.parametrize("number", [1, 1000])
async def test_one_stat_call_is_all_while_the_folder_stays(tmp_path: Path, number: int) -> None:
    """However many accounts there are; now and then all files are looked at."""
    stats, looks = Stats(), Looks()
    watch = StoreWatch({tmp_path / f"{each}.jwe": looks for each in range(number)}, identity=stats.identity)
    for _ in range(1 + FURTHER_LOOKS):
        await watch.look()
    assert len(stats.asked) == (1 + FURTHER_LOOKS) * (1 + number)
    stats.asked.clear()
    for _ in range(FULL_LOOK - 1 - FURTHER_LOOKS):
        await watch.look()
    assert stats.asked == [tmp_path] * (FULL_LOOK - 1 - FURTHER_LOOKS)
    await watch.look()
    assert len(stats.asked) == FULL_LOOK - 1 - FURTHER_LOOKS + 1 + number
    assert looks.count == number


async def test_a_second_change_within_a_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    """It leaves the folder as the first one has left it."""
    stats, looks, file = Stats(), Looks(), tmp_path / "alice.jwe"
    file.write_text("x")
    watch = StoreWatch({file: looks}, identity=stats.identity)
    stats.folder = (1, 1, 1, 1)
    for _ in range(1 + FURTHER_LOOKS):
        await watch.look()
    stats.folder = (2, 2, 2, 2)
    file.write_text("first")
    await watch.look()
    file.write_text("second")
    await watch.look()
    assert looks.count == 3


async def test_a_file_that_is_written_in_place_is_seen_in_time(tmp_path: Path) -> None:
    """As by a restored backup, or a change of its mode; it does not change the folder."""
    file, looks = tmp_path / "alice.jwe", Looks()
    file.write_text("x")
    watch = StoreWatch({file: looks})
    for _ in range(1 + FURTHER_LOOKS):
        await watch.look()
    file.chmod(0o640)
    for _ in range(FULL_LOOK):
        await watch.look()
    assert looks.count == 2


async def test_refreshers_come_and_go(tmp_path: Path) -> None:
    """One that has loaded its file need not look, unless the file has changed since it was noted."""
    refreshers: dict[Path, Looks] = {}
    watch = StoreWatch(refreshers)
    alice, bob = tmp_path / "alice.jwe", tmp_path / "bob.jwe"
    await watch.look()
    noted = await watch.identities([alice, bob])
    bob.write_text("x")
    refreshers |= {alice: Looks(), bob: Looks()}
    watch.expect(noted)
    await watch.look()
    assert [each.count for each in refreshers.values()] == [0, 1]
    del refreshers[alice]
    bob.write_text("changed")
    await watch.look()
    refreshers[alice] = Looks()
    for _ in range(FULL_LOOK):
        await watch.look()
    assert [refreshers[bob].count, refreshers[alice].count] == [2, 1]


async def test_a_refresher_that_is_exchanged_during_a_look_misses_nothing(tmp_path: Path) -> None:
    """What the one before has seen, the new one has not."""
    file = tmp_path / "alice.jwe"
    refreshers: dict[Path, Looks] = {}
    later = Looks()

    class Exchanged(Looks):
        async def look(self) -> None:
            refreshers[file] = later

    refreshers[file] = Exchanged()
    watch = StoreWatch(refreshers)
    await watch.look()
    await watch.look()
    assert later.count == 1


@pytest.mark.parametrize("error", [StoreError("held"), RuntimeError("can't start new thread")])
async def test_a_look_that_failed_is_taken_again(tmp_path: Path, error: Exception) -> None:
    """Whatever went wrong, the change is not forgotten and the watch goes on."""
    looks = Looks()
    watch = StoreWatch({tmp_path / "alice.jwe": looks})
    looks.error = error
    await watch.look()
    looks.error = None
    await watch.look()
    await watch.look()
    assert looks.count == 2


async def test_a_damaged_file_takes_nothing_away(tmp_path: Path) -> None:
    """The token in memory goes on being used, and what comes later is seen again."""
    store, refresher, watch = await signed_in(tmp_path)
    good = store.path.read_bytes()
    store.path.write_bytes(b"damaged, and of another length")
    await watch.look()
    assert await refresher.ensure_valid_token() == "access-1"
    store.path.write_bytes(good)
    await watch.look()
    assert refresher.report().state is State.OK


async def test_a_folder_that_cannot_be_looked_at_is_no_error(tmp_path: Path) -> None:
    """The watch goes on; what is wrong is told when the tokens are needed."""
    file = tmp_path / "file"
    file.write_text("")
    store = FileTokenStore(file, "alice", Keychain(tmp_path, key_places(tmp_path, {}), "file"))

    async def grant(_tokens: TokenSet) -> Outcome:
        return Transient("not asked")

    refresher = await create_token_refresher("alice", store, grant, clock=Clock())
    await StoreWatch({store.path: refresher}).look()
    assert refresher.report().state is State.STORE_ERROR


async def test_the_files_own_refresh_is_no_news(tmp_path: Path) -> None:
    """What the refresher has written itself changes nothing."""
    store, refresher, watch = await signed_in(tmp_path)
    before = refresher.report()
    await save_tokens(store.path.parent, token_set(), Keychain(tmp_path, key_places(tmp_path, {}), "file"))
    await watch.look()
    assert refresher.report() == before

from pathlib import Path

import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens import TokenRefresher, create_token_refresher, save_tokens
from jmap_proxy.tokens.keychain import Keychain, key_places
from jmap_proxy.tokens.outcome import Outcome, Transient
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.store import FileTokenStore
from jmap_proxy.tokens.tokenset import TokenSet
from jmap_proxy.tokens.watch import StoreWatch
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


class Looks:
    """Counts the looks, and fails when it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None

    async def look(self) -> None:
        """Look."""
        self.count += 1
        if self.error is not None:
            raise self.error


async def test_a_file_is_looked_at_once_and_then_when_it_changes(tmp_path: Path) -> None:
    """At first in any case, since it may have changed after it was loaded; a change of its mode counts too."""
    file, looks = tmp_path / "alice.jwe", Looks()
    file.write_text("x")
    watch = StoreWatch({file: looks})
    for _ in range(3):
        await watch.look()
    assert looks.count == 1
    file.chmod(0o640)
    await watch.look()
    assert looks.count == 2


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

"""Refreshers and the disk: two on one store while it takes nothing, damaged files, folders that go and come."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import JmapProxyError, StoreError
from jmap_proxy.tokens import TokenRefresher, create_token_refresher
from jmap_proxy.tokens.datakey import DataKey
from jmap_proxy.tokens.decision import PATIENCE
from jmap_proxy.tokens.envelope import seal
from jmap_proxy.tokens.outcome import Outcome, Rejected
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.store import LOCK_PATIENCE, FileTokenStore
from jmap_proxy.tokens.tokenset import SCHEMA_VERSION, TokenSet
from tests.support.clock import Clock
from tests.support.read_only import apart, needs_read_only
from tests.tokens.builders import HOUR, refreshed, renamed, token_set

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jmap_proxy.tokens.keychain import Keychain


class Disk(FileTokenStore):
    """A store on a disk that may be full for this process."""

    full = False

    async def save(self, tokens: TokenSet) -> None:
        """Save, if there is room."""
        if self.full:
            raise StoreError("disk full", hint="make room")
        await super().save(tokens)


class SlowKeyring:
    """Data keys that are to be had while the keyring is not locked; asking for them waits until then."""

    def __init__(self) -> None:
        self.key = DataKey.new()
        self.unlocked = threading.Event()
        self.unlocked.set()

    def describe(self) -> str:
        """What it is."""
        return "the keyring"

    def find(self, key_id: str) -> DataKey | None:
        """A key that is known once is remembered."""
        return self.key if key_id == self.key.key_id else None

    def current(self) -> DataKey:
        """Ask the keyring."""
        self.unlocked.wait()
        return self.key


class StrictProvider:
    """Rotates, and ends the sign-in when a spent refresh token comes."""

    def __init__(self) -> None:
        self.generation = 1
        self.outcomes: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    async def __call__(self, tokens: TokenSet) -> Outcome:
        """Answer."""
        if tokens.refresh_token != f"refresh-{self.generation}":
            self.outcomes.append("revoked")
            self.generation = -1
            return Rejected("invalid_grant")
        self.generation += 1
        self.outcomes.append("ok")
        self.meanwhile()
        return refreshed(self.generation, rotated=f"refresh-{self.generation}")


class Sharing:
    """Two refreshers, as of two processes, on one store; the second one gives up on the lock soon."""

    def __init__(self, folder: Path, keys: Keychain) -> None:
        self.clock, self.provider, self.keys = Clock(), StrictProvider(), keys
        self.disks = Disk(folder, "alice", keys), Disk(folder, "alice", keys, lock_patience=0.05)

    async def start(self, number: int, jitter: float = 1.0, patience: float = PATIENCE) -> TokenRefresher:
        """The refresher of one of the two."""
        return await create_token_refresher(
            "alice", self.disks[number], self.provider, clock=self.clock, jitter=lambda: jitter, patience=patience
        )

    async def both(self) -> tuple[TokenRefresher, TokenRefresher]:
        """Both of them, signed in."""
        await self.disks[0].save(token_set())
        return await self.start(0), await self.start(1)


@pytest.fixture
def sharing(folder: Path, keys: Keychain) -> Sharing:
    """Two on one store."""
    return Sharing(folder, keys)


async def test_what_another_process_has_in_memory_only_is_not_spent_again(sharing: Sharing) -> None:
    """The stored refresh token is spent: whoever else has it gets 503 until the disk has taken the new one."""
    first, second = await sharing.both()
    sharing.disks[0].full = True
    sharing.clock.now += HOUR + 1
    assert await first.ensure_valid_token() == "access-2"
    for _ in range(3):
        with pytest.raises(StoreError, match="held by another process") as caught:
            await second.ensure_valid_token()
        assert caught.value.retry_after is not None
        sharing.clock.now += 61
    sharing.disks[0].full = False
    await first.close()
    assert await second.ensure_valid_token() == "access-2"
    assert sharing.provider.outcomes == ["ok"]


async def test_who_waits_for_another_process_is_told_so_and_can_end(sharing: Sharing) -> None:
    """The provider is not to blame; and nothing has been asked, so that nothing is lost by going away."""
    sharing.disks = sharing.disks[0], Disk(sharing.disks[1].path.parent, "alice", sharing.keys)
    first, _ = await sharing.both()
    second = await sharing.start(1, patience=0.05)
    sharing.disks[0].full = True
    sharing.clock.now += HOUR + 1
    await first.ensure_valid_token()
    with pytest.raises(StoreError, match="another process holds the lock") as caught:
        await second.ensure_valid_token()
    assert caught.value.retry_after is not None
    async with asyncio.timeout(LOCK_PATIENCE / 2):
        await second.close()
    sharing.disks[0].full = False
    await first.close()
    assert sharing.provider.outcomes == ["ok"]


async def test_a_refresh_that_has_begun_gets_its_turn_at_the_end(sharing: Sharing) -> None:
    """Who holds the lock may let go of it in a moment."""
    await sharing.disks[0].save(token_set())
    first = await sharing.start(0)
    sharing.clock.now += HOUR - 300
    async with sharing.disks[1].lock():
        assert await first.ensure_valid_token() == "access-1"
        closing = asyncio.create_task(first.close())
        await asyncio.sleep(0)
    await closing
    assert sharing.provider.outcomes == ["ok"]


async def test_another_process_goes_on_with_a_living_token_meanwhile(sharing: Sharing) -> None:
    """It only cannot renew it."""
    first, second = await sharing.both()
    sharing.disks[0].full = True
    sharing.clock.now += HOUR - 30
    assert await first.ensure_valid_token() == "access-2"
    assert await second.ensure_valid_token() == "access-1"
    assert second.report().state is State.RETRYING
    sharing.disks[0].full = False
    await first.close()
    sharing.clock.now += 61
    assert await second.ensure_valid_token() == "access-2"
    assert sharing.provider.outcomes == ["ok"]


async def test_the_one_that_has_them_goes_on_refreshing(sharing: Sharing) -> None:
    """Generation after generation from memory; when the disk takes them again, the other one goes on from there."""
    first, second = await sharing.both()
    sharing.disks[0].full = True
    for generation in (2, 3, 4):
        sharing.clock.now += HOUR + 1
        assert await first.ensure_valid_token() == f"access-{generation}"
    sharing.disks[0].full = False
    sharing.clock.now += HOUR + 1
    assert await first.ensure_valid_token() == "access-5"
    assert first.report().state is State.OK
    assert await second.ensure_valid_token() == "access-5"
    sharing.clock.now += HOUR + 1
    assert await second.ensure_valid_token() == "access-6"
    assert sharing.provider.outcomes == ["ok"] * 5


async def test_the_lock_is_free_when_a_retry_has_saved_them(sharing: Sharing) -> None:
    """Without another request."""
    await sharing.disks[0].save(token_set())
    first, second = await sharing.start(0, jitter=0.0), await sharing.start(1)
    sharing.disks[0].full = True
    sharing.clock.now += HOUR + 1
    await first.ensure_valid_token()
    sharing.disks[0].full = False
    await first.wait_saved()
    assert first.report().state is State.OK
    assert await second.ensure_valid_token() == "access-2"


async def test_who_ends_with_unsaved_tokens_does_not_keep_the_lock(sharing: Sharing) -> None:
    """They are lost then; the next process finds the note of the attempt and tells what has happened."""
    first, second = await sharing.both()
    sharing.disks[0].full = True
    sharing.clock.now += HOUR + 1
    await first.ensure_valid_token()
    await first.close()
    with pytest.raises(JmapProxyError, match="was lost, and it was spent then"):
        await second.ensure_valid_token()


async def test_a_keyring_that_is_locked_at_the_wrong_moment(tmp_path: Path) -> None:
    """The refresh token is spent by then: the new one is served from memory until the user unlocks the keyring."""
    ring = SlowKeyring()
    disk = FileTokenStore(tmp_path / "tokens", "alice", ring)
    await disk.save(token_set())
    clock, provider = Clock(), StrictProvider()
    refresher = await create_token_refresher("alice", disk, provider, clock=clock, jitter=lambda: 0.0, patience=0.1)
    ring.unlocked.clear()
    for generation in (2, 3):
        clock.now += HOUR + 1
        assert await refresher.ensure_valid_token() == f"access-{generation}"
        assert refresher.report().state is State.UNSAVED
    ring.unlocked.set()
    await refresher.close()
    stored = await disk.load()
    assert stored is not None
    assert stored.generation == 3
    assert provider.outcomes == ["ok", "ok"]


@needs_read_only
async def test_a_disk_that_takes_no_writes_at_all(tmp_path: Path) -> None:
    """As one that the kernel has remounted: served from memory, refreshed from there, written down when it can be."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    command = apart(sys.executable, "-m", "tests.tokens.read_only_disk", str(state))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.decode().splitlines() == ["access-2 unsaved", "access-3 unsaved", "ok 3 refresh-1 refresh-2"]


async def test_a_file_that_is_damaged_meanwhile_is_written_anew(sharing: Sharing) -> None:
    """From memory, with the next refresh; the damaged one is set aside."""
    first, _ = await sharing.both()
    path = sharing.disks[0].path
    path.write_bytes(b"damaged")
    sharing.clock.now += HOUR + 1
    assert await first.ensure_valid_token() == "access-2"
    assert path.with_suffix(".damaged").read_bytes() == b"damaged"
    assert await (await sharing.start(1)).ensure_valid_token() == "access-2"


async def test_tokens_in_memory_only_replace_a_damaged_file_too(sharing: Sharing) -> None:
    """The disk was full, and then the file was damaged."""
    first, _ = await sharing.both()
    sharing.disks[0].full = True
    sharing.clock.now += HOUR + 1
    await first.ensure_valid_token()
    sharing.disks[0].path.write_bytes(b"damaged")
    sharing.disks[0].full = False
    await first.close()
    assert await (await sharing.start(1)).ensure_valid_token() == "access-2"


async def test_a_refusal_over_a_damaged_file_is_a_loss(sharing: Sharing) -> None:
    """Nobody can have stored anything newer."""
    first, _ = await sharing.both()
    sharing.disks[0].path.write_bytes(b"damaged")
    sharing.provider.generation = 7
    sharing.clock.now += HOUR + 1
    with pytest.raises(JmapProxyError, match="refused the refresh token"):
        await first.ensure_valid_token()


async def test_a_file_of_a_newer_program_is_never_written_over(sharing: Sharing, keys: Keychain) -> None:
    """The living token is used up; the provider is not asked, since nobody could store the answer."""
    first, _ = await sharing.both()
    path = sharing.disks[0].path
    newer = seal(token_set(schema_version=SCHEMA_VERSION + 1), keys.current())
    path.write_bytes(newer)
    sharing.clock.now += HOUR - 30
    assert await first.ensure_valid_token() == "access-1"
    sharing.clock.now += 61
    with pytest.raises(StoreError, match="written in form"):
        await first.ensure_valid_token()
    assert path.read_bytes() == newer
    assert sharing.provider.outcomes == []


async def test_a_damaged_file_of_another_sign_in_is_never_written_over(sharing: Sharing) -> None:
    """As its generation before tells: who signed in since may have it restored."""
    first, _ = await sharing.both()
    for generation in (1, 2):
        await sharing.disks[1].save(token_set(generation, sign_in_id="second"))
    path = sharing.disks[0].path
    path.write_bytes(b"damaged")
    sharing.clock.now += HOUR + 1
    assert await first.ensure_valid_token() == "access-2"
    assert first.report().state is State.UNSAVED
    await first.close()
    assert path.read_bytes() == b"damaged"


async def test_a_folder_that_is_gone_for_a_moment_is_no_sign_out(sharing: Sharing, folder: Path) -> None:
    """An unmounted disk: the token in memory is served, no folder is made in its place, and then all goes on."""
    first, _ = await sharing.both()
    away = renamed(folder, "away")
    with pytest.raises(StoreError, match="not there any more"):
        await first.look()
    sharing.clock.now += HOUR - 30
    assert await first.ensure_valid_token() == "access-1"
    sharing.clock.now += 61
    with pytest.raises(StoreError, match="not there any more") as caught:
        await first.ensure_valid_token()
    assert "mounted" in caught.value.hint
    assert len(list(away.parent.glob("tokens"))) == 0
    renamed(away, "tokens")
    sharing.clock.now += 61
    assert await first.ensure_valid_token() == "access-2"
    assert sharing.provider.outcomes == ["ok"]


async def test_a_folder_that_goes_during_a_refresh_gets_the_tokens_when_it_is_back(
    sharing: Sharing, folder: Path
) -> None:
    """A folder made in its place would be hidden when the disk is mounted again, and the spent tokens would show."""
    await sharing.disks[0].save(token_set())
    first = await sharing.start(0, jitter=0.0)
    sharing.provider.meanwhile = lambda: renamed(folder, "away")
    sharing.clock.now += HOUR + 1
    assert await first.ensure_valid_token() == "access-2"
    assert first.report().state is State.UNSAVED
    assert len(list(folder.parent.glob("tokens"))) == 0
    renamed(folder.with_name("away"), "tokens")
    await first.wait_saved()
    assert first.report().state is State.OK
    assert await (await sharing.start(1)).ensure_valid_token() == "access-2"


async def test_a_file_that_is_gone_from_its_folder_is_a_sign_out(sharing: Sharing) -> None:
    """As `logout` leaves it."""
    first, _ = await sharing.both()
    await sharing.disks[1].remove()
    await first.look()
    assert first.report().state is State.NEEDS_LOGIN

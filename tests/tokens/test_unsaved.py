from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.unsaved import UnsavedTokens
from tests.tokens.builders import MemoryStore, token_set

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jmap_proxy.tokens.tokenset import TokenSet


class Sleeps:
    """Waits that a test ends one by one."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self._gate = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        """Wait until the test lets it go on."""
        self.asked.put_nowait(seconds)
        await self._gate.acquire()

    def end_one(self) -> None:
        """Let one wait end."""
        self._gate.release()


def full_disk() -> tuple[MemoryStore, Sleeps, UnsavedTokens]:
    """A store that takes nothing, and what keeps trying."""
    store, sleeps = MemoryStore(token_set()), Sleeps()
    store.save_error = StoreError("disk full", hint="make room")
    return store, sleeps, UnsavedTokens(store, lambda: 1.0, lambda: None, sleeps)


async def test_it_is_tried_until_the_disk_takes_them() -> None:
    """With growing waits; once they are written nothing is left in memory only."""
    store, sleeps, unsaved = full_disk()
    unsaved.keep(token_set(2))
    waits = []
    for _ in range(3):
        waits.append(await sleeps.asked.get())
        sleeps.end_one()
    waits.append(await sleeps.asked.get())
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]
    store.save_error = None
    saved = asyncio.ensure_future(store.saved.wait())
    sleeps.end_one()
    await saved
    await unsaved.close()
    assert store.tokens == token_set(2)
    assert unsaved.tokens is None


async def test_newer_tokens_take_the_place_of_older_ones() -> None:
    """Only the latest generation is written, by the one task."""
    store, sleeps, unsaved = full_disk()
    unsaved.keep(token_set(2))
    await sleeps.asked.get()
    unsaved.keep(token_set(3))
    store.save_error = None
    await unsaved.close()
    assert [event for event in store.events if event.startswith("saved")] == ["saved 3"]


async def test_what_was_saved_otherwise_is_not_written_again() -> None:
    """A refresh whose tokens the disk took ends the trying."""
    store, sleeps, unsaved = full_disk()
    unsaved.keep(token_set(2))
    await sleeps.asked.get()
    unsaved.drop()
    store.save_error = None
    await unsaved.close()
    assert store.tokens == token_set(1)


async def test_a_newer_sign_in_is_not_overwritten() -> None:
    """Another process's sign-in counts more; nothing is left to be saved then."""
    store, _, unsaved = full_disk()
    store.save_error = None
    store.tokens = token_set(1, sign_in_id="second")
    unsaved.keep(token_set(2))
    await unsaved.close()
    assert store.tokens.sign_in_id == "second"
    assert unsaved.tokens is None


async def test_what_is_lost_in_the_end_is_told() -> None:
    """One line in the log, which holds no secret, and no exception."""
    _, _, unsaved = full_disk()
    unsaved.keep(token_set(2))
    with capture_logs() as lines:
        await unsaved.close()
    assert [line["event"] for line in lines] == ["the latest tokens are lost"]
    assert "access-2" not in repr(lines)


async def test_tokens_that_come_while_the_lock_is_waited_for_are_the_ones_that_are_written() -> None:
    """A retry that was overtaken by a refresh does not put a spent refresh token back, and goes on to the newest."""
    store, sleeps, unsaved = full_disk()
    unsaved.keep(token_set(2))
    await sleeps.asked.get()
    store.save_error = None
    async with store.lock():
        sleeps.end_one()
        for _ in range(5):
            await asyncio.sleep(0)
        unsaved.keep(token_set(3))
    await unsaved.wait_saved()
    await unsaved.close()
    assert store.tokens == token_set(3)
    assert [event for event in store.events if event.startswith("saved")] == ["saved 3"]


async def test_the_owner_is_told_when_all_is_saved() -> None:
    """So that an error that has mended itself is not shown any more."""
    told: list[bool] = []
    store = MemoryStore(token_set())
    unsaved = UnsavedTokens(store, lambda: 1.0, lambda: told.append(True))
    unsaved.keep(token_set(2))
    await unsaved.close()
    assert told == [True]


async def test_the_lock_is_held_until_the_disk_has_taken_them() -> None:
    """Over all tries; what is in the store meanwhile is for nobody."""
    store, sleeps, unsaved = full_disk()
    async with unsaved.lock():
        unsaved.keep(token_set(2))
    for _ in range(2):
        await sleeps.asked.get()
        sleeps.end_one()
    await sleeps.asked.get()
    assert [event for event in store.events if "lock" in event] == ["lock"]
    store.save_error = None
    sleeps.end_one()
    await unsaved.wait_saved()
    assert store.events[-2:] == ["saved 2", "unlock"]


async def test_a_retry_waits_for_the_refresh_that_has_the_lock() -> None:
    """And writes what that one has brought, not what it has spent."""
    store, sleeps, unsaved = full_disk()
    async with unsaved.lock():
        unsaved.keep(token_set(2))
    await sleeps.asked.get()
    store.save_error = None
    async with unsaved.lock():
        sleeps.end_one()
        for _ in range(10):
            await asyncio.sleep(0)
        assert store.tokens == token_set(1)
        unsaved.keep(token_set(3))
    await unsaved.wait_saved()
    assert [event for event in store.events if event.startswith("saved")] == ["saved 3"]


async def test_a_lock_that_cannot_be_had_is_asked_for_again() -> None:
    """The next time as if nothing had been."""
    fails = [True]

    class Locked(MemoryStore):
        """A store whose lock somebody else has, once."""

        @asynccontextmanager
        async def lock(self) -> AsyncIterator[None]:
            """Fail once."""
            if fails:
                fails.clear()
                raise StoreError("held by another process")
            async with super().lock():
                yield

    store = Locked(token_set())
    unsaved = UnsavedTokens(store, lambda: 1.0, lambda: None)
    with pytest.raises(StoreError):
        async with unsaved.lock():
            raise AssertionError
    async with unsaved.lock():
        assert store.events == ["lock"]
    assert store.events == ["lock", "unlock"]


async def test_with_nothing_unsaved_nothing_is_waited_for() -> None:
    """A refresher that is exchanged is closed at once."""
    _, _, unsaved = full_disk()
    await unsaved.wait_saved()
    await unsaved.close()


class HangingStore(MemoryStore):
    """A store whose first write waits, as for a keyring that the user is to unlock."""

    def __init__(self) -> None:
        super().__init__(token_set())
        self.unlocked = asyncio.Event()
        self.writes = 0

    async def save(self, tokens: TokenSet) -> None:
        """Save, the first time after a while."""
        self.writes += 1
        await self.unlocked.wait()
        await super().save(tokens)


async def test_a_write_that_hangs_is_alone() -> None:
    """The tokens count as unsaved; newer ones are not written before it has ended, so that it does not replace them."""
    store, sleeps = HangingStore(), Sleeps()
    unsaved = UnsavedTokens(store, lambda: 1.0, lambda: None, sleeps, patience=0.01)
    for generation in (2, 3):
        async with unsaved.lock():
            with pytest.raises(StoreError, match="takes too long"):
                await unsaved.write(token_set(generation))
            unsaved.keep(token_set(generation))
    await sleeps.asked.get()
    sleeps.end_one()
    await sleeps.asked.get()
    assert store.writes == 1
    store.unlocked.set()
    await unsaved.close()
    assert [event for event in store.events if event.startswith("saved")] == ["saved 2", "saved 3"]
    assert unsaved.tokens is None


async def test_a_write_that_hangs_and_fails_is_tried_again() -> None:
    """What it raises in the end is nobody's exception."""
    store, sleeps = HangingStore(), Sleeps()
    store.save_error = StoreError("the keyring does not answer")
    unsaved = UnsavedTokens(store, lambda: 1.0, lambda: None, sleeps, patience=0.01)
    async with unsaved.lock():
        with pytest.raises(StoreError, match="takes too long"):
            await unsaved.write(token_set(2))
        unsaved.keep(token_set(2))
    store.unlocked.set()
    await sleeps.asked.get()
    store.save_error = None
    sleeps.end_one()
    await unsaved.wait_saved()
    assert store.tokens == token_set(2)

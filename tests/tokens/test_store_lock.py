import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.keychain import Keychain
from jmap_proxy.tokens.store import FileTokenStore
from tests.tokens.builders import token_set

SPAWN = multiprocessing.get_context("spawn")


async def _hold(store: FileTokenStore, told: Connection) -> None:
    async with store.lock():
        told.send("locked")
        await asyncio.to_thread(told.recv)
        await store.save(token_set(2))
    told.send("let go")


def _hold_lock(store: FileTokenStore, told: Connection) -> None:
    asyncio.run(_hold(store, told))


@contextmanager
def another_process(store: FileTokenStore) -> Iterator[tuple[Connection, int]]:
    """Run a process that holds the lock until it is sent something, and then saves the second generation."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_hold_lock, args=(store, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "locked"
        assert process.pid is not None
        yield ours, process.pid
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


async def read_under_lock(store: FileTokenStore) -> int:
    """Return the generation that is stored once the lock is ours."""
    async with store.lock():
        tokens = await store.load()
    return tokens.generation if tokens else 0


async def locked_out(store: FileTokenStore) -> asyncio.Task[int]:
    """Return a reader that has been turned away at least once, while the event loop went on."""
    reader = asyncio.create_task(read_under_lock(store))
    done, _ = await asyncio.wait([reader], timeout=0.12)
    assert not done
    return reader


async def test_the_lock_excludes_another_process(store: FileTokenStore) -> None:
    """Who waits reads what the holder has saved; waiting does not block the event loop."""
    with another_process(store) as (connection, _):
        reader = await locked_out(store)
        connection.send("go on")
        assert await reader == 2


async def test_a_killed_holder_frees_the_lock(store: FileTokenStore) -> None:
    """SIGKILL is the end of a lock, without anybody's help."""
    with another_process(store) as (_, pid):
        reader = await locked_out(store)
        os.kill(pid, signal.SIGKILL)
        assert await reader == 0


async def test_a_cancelled_waiter_does_not_keep_the_lock(store: FileTokenStore) -> None:
    """Who stops waiting has no part in the lock afterwards."""
    with another_process(store) as (connection, _):
        reader = await locked_out(store)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        connection.send("go on")
        assert await read_under_lock(store) == 2


async def test_a_cancelled_holder_frees_the_lock(store: FileTokenStore) -> None:
    """A task that is cancelled inside the lock lets go of it."""
    inside = asyncio.Event()

    async def hold() -> None:
        async with store.lock():
            inside.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await inside.wait()
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    assert await read_under_lock(store) == 0


async def test_the_lock_excludes_tasks_of_this_process(store: FileTokenStore) -> None:
    """Two refreshers of one process exclude each other too."""
    async with store.lock():
        reader = await locked_out(store)
        await store.save(token_set(2))
    assert await reader == 2


async def test_the_lock_file_is_private_and_stays(store: FileTokenStore, folder: Path) -> None:
    """The lock is a file of its own, 0600, never removed: else two processes could lock two files of one name."""
    async with store.lock():
        pass
    path = folder / "alice.lock"
    assert path.is_file()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_holder_that_never_lets_go_is_told(folder: Path, keys: Keychain) -> None:
    """After the patience is over the error names the lock file and allows another try."""
    store = FileTokenStore(folder, "alice", keys, lock_patience=0.0)
    async with store.lock():
        with pytest.raises(StoreError, match=r"alice\.lock is held by another process") as caught:
            await asyncio.create_task(read_under_lock(store))
    assert caught.value.retry_after is not None
    assert await read_under_lock(store) == 0


def test_a_lock_that_cannot_be_made_is_told(store: FileTokenStore, folder: Path) -> None:
    """Something else in the lock file's place gives an error that names it."""
    folder.mkdir(mode=0o700, parents=True)
    (folder / "alice.lock").mkdir()
    with pytest.raises(StoreError, match=r"alice\.lock"):
        asyncio.run(read_under_lock(store))

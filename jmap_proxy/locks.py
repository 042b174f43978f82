"""Locks between processes: flock(2) on a file of its own, freed by the kernel when its holder dies."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from filelock import AsyncFileLock, FileLock, lock_descriptor

from jmap_proxy.errors import StoreError
from jmap_proxy.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

POLL = 0.05
"""Seconds between two looks at a lock that another process holds."""


@contextmanager
def file_lock(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock file; blocks for `patience` seconds at most.

    Raises:
        StoreError: another process does not let go of it, or it cannot be made.
    """
    # No soft lock: it outlives its holder. The file stays: removed, two processes could lock two files of one name.
    lock = FileLock(path, mode=PRIVATE_FILE, timeout=patience, fallback_to_soft=False, preserve_lock_file=True)
    with _translated(path):
        lock.acquire(poll_interval=POLL)
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def async_file_lock(path: Path, patience: float) -> AsyncIterator[None]:
    """`file_lock` for an event loop, which goes on meanwhile; on a read-only disk too. Raises StoreError."""
    lock = AsyncFileLock(path, mode=PRIVATE_FILE, timeout=patience, fallback_to_soft=False, preserve_lock_file=True)
    async with AsyncExitStack() as held:
        with _translated(path):
            try:
                await lock.acquire(poll_interval=POLL)
                held.push_async_callback(lock.release)
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise
                held.callback(os.close, await _lock_unwritable(path, patience))
        yield


async def _lock_unwritable(path: Path, patience: float) -> int:
    """Lock a file that can only be read, which excludes others all the same; the descriptor that holds the lock.

    Raises:
        TimeoutError, OSError: it cannot be had.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        async with asyncio.timeout(patience):
            while not lock_descriptor(descriptor, blocking=False):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(POLL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except TimeoutError:  # filelock's is one too
        raise StoreError(
            f"{path} is held by another process that does not let go",
            hint="see whether another jmap-proxy hangs, or cannot save its tokens: jmap-proxy status tells",
            retry_after=POLL,
        ) from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=f"check who owns {path}") from error

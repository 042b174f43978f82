"""Locks between processes: flock(2) on a file of its own, freed by the kernel when its holder dies."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from filelock import AsyncFileLock, FileLock, Timeout

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
    """`file_lock` for an event loop, which goes on meanwhile. Raises StoreError."""
    lock = AsyncFileLock(path, mode=PRIVATE_FILE, timeout=patience, fallback_to_soft=False, preserve_lock_file=True)
    with _translated(path):
        await lock.acquire(poll_interval=POLL)
    try:
        yield
    finally:
        await lock.release()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise StoreError(
            f"{path} is held by another process that does not let go",
            hint="see whether another jmap-proxy hangs, or cannot save its tokens: jmap-proxy status tells",
            retry_after=POLL,
        ) from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=f"check who owns {path}") from error

import asyncio
import sys
from pathlib import Path

import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.locks import async_file_lock, file_lock

HOLD = """
import sys, pathlib
from jmap_proxy.locks import file_lock
with file_lock(pathlib.Path(sys.argv[1]), 5):
    print("held", flush=True)
    sys.stdin.read()
"""


async def holder(path: Path) -> asyncio.subprocess.Process:
    """Another process that holds the lock until its standard input ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def test_another_process_is_kept_out_until_the_holder_dies(tmp_path: Path) -> None:
    """The lock cannot be had while another process has it, and at once when that is killed."""
    path = tmp_path / "x.lock"
    process = await holder(path)
    with pytest.raises(StoreError, match="held by another process"), file_lock(path, 0):
        pass
    with pytest.raises(StoreError, match="held by another process"):
        async with async_file_lock(path, 0):
            pass
    process.kill()
    await process.communicate()
    async with async_file_lock(path, 0):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_waiter_gets_the_lock_when_it_is_given_back(tmp_path: Path) -> None:
    """The event loop goes on while a lock is waited for."""
    path = tmp_path / "x.lock"
    process = await holder(path)

    async def wait() -> bool:
        async with async_file_lock(path, 30):
            return True

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await process.communicate(b"")
    assert await waiting


async def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "x.lock"
    path.mkdir()
    with pytest.raises(StoreError, match=r"x\.lock"):
        async with async_file_lock(path, 0):
            pass

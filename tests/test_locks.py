import asyncio
import sys
from pathlib import Path

import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.locks import async_file_lock, file_lock
from tests.support.read_only import needs_read_only, read_only

HOLD = """
import sys, pathlib
from jmap_proxy.locks import file_lock
with file_lock(pathlib.Path(sys.argv[1]), 5):
    print("held", flush=True)
    sys.stdin.read()
"""


HOLD_UNWRITABLE = """
import asyncio, sys, pathlib
from jmap_proxy.locks import async_file_lock
async def hold():
    async with async_file_lock(pathlib.Path(sys.argv[1]), float(sys.argv[2])):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(hold())
"""


async def holder(path: Path, *command: str) -> asyncio.subprocess.Process:
    """Another process that holds the lock until its standard input ends."""
    process = await asyncio.create_subprocess_exec(
        *(command or (sys.executable, "-c", HOLD, str(path))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
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


@needs_read_only
async def test_a_disk_that_takes_no_writes_has_locks_all_the_same(tmp_path: Path) -> None:
    """The file that is there is enough: its holder keeps others out, and waits for them."""
    path = tmp_path / "x.lock"
    path.touch(mode=0o600)
    command = read_only(tmp_path, sys.executable, "-c", HOLD_UNWRITABLE, str(path))
    process = await holder(path, *command, "0")
    with pytest.raises(StoreError, match="held by another process"), file_lock(path, 0):
        pass
    await process.communicate(b"")
    assert process.returncode == 0
    async with async_file_lock(path, 0):
        late = await asyncio.create_subprocess_exec(*command, "0", stderr=asyncio.subprocess.PIPE)
        assert b"held by another process" in (await late.communicate())[1]
    path.unlink()
    without = await asyncio.create_subprocess_exec(*command, "0", stderr=asyncio.subprocess.PIPE)
    assert b"StoreError" in (await without.communicate())[1]

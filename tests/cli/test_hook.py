from __future__ import annotations

import asyncio
import os
import shlex
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jmap_proxy.cli.hook import AT_ONCE, SignInHook
from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LIMIT = 30.0
"""Seconds after which something hangs."""


class Notes:
    """Which losses have been told, in memory; maybe not writable."""

    def __init__(self, *, broken: bool = False) -> None:
        self.told: set[str] = set()
        self._broken = broken

    async def first_to_tell(self, sign_in_id: str) -> bool:
        """Whether nobody has told it."""
        if self._broken:
            raise StoreError("disk full", hint="make room")
        first = sign_in_id not in self.told
        self.told.add(sign_in_id)
        return first


def python(code: str, *args: object) -> list[str]:
    """A command."""
    return [sys.executable, "-c", code, *map(str, args)]


def telling(path: Path) -> list[str]:
    """A command that adds what it is told to a file."""
    told = "os.environ['JMAP_PROXY_ACCOUNT'] + os.environ['JMAP_PROXY_REASON']"
    return python(f"import os, sys; open(sys.argv[1], 'a').write({told})", path)


@asynccontextmanager
async def named_pipe(path: Path) -> AsyncIterator[asyncio.StreamReader]:
    """What is written into a named pipe; it ends when the last one that has it open has ended."""
    os.mkfifo(path)
    reader = asyncio.StreamReader()
    end = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), end)
    try:
        yield reader
    finally:
        transport.close()


@pytest.mark.parametrize("account", ["alice", "$(touch /tmp/x); --help"])
async def test_the_command_is_told_the_account_by_its_environment(tmp_path: Path, account: str) -> None:
    """No shell looks at it."""
    hook = SignInHook(telling(tmp_path / "told"))
    hook(account, Notes(), "first", " is gone")
    await hook.close()
    assert (tmp_path / "told").read_text() == f"{account} is gone"


async def test_it_runs_once_for_each_loss(tmp_path: Path) -> None:
    """Also where others share the notes, and after a restart; the loss of the next sign-in is another one."""
    notes = {"a": Notes(), "b": Notes()}
    for _ in range(2):
        hooks = [SignInHook(telling(tmp_path / "told")) for _ in range(2)]
        for account, sign_in_id in (("a", "1"), ("a", "1"), ("b", "1"), ("a", "2")):
            for hook in hooks:
                hook(account, notes[account], sign_in_id, sign_in_id)
        for hook in hooks:
            await hook.close()
    told = (tmp_path / "told").read_text()
    assert sorted(told[at : at + 2] for at in range(0, len(told), 2)) == ["a1", "a2", "b1"]


async def test_a_loss_that_cannot_be_noted_is_told(tmp_path: Path) -> None:
    """Better twice than never, but not more than once by one process."""
    hook = SignInHook(telling(tmp_path / "told"))
    with capture_logs() as lines:
        for _ in range(3):
            hook("a", Notes(broken=True), "1", "")
        await hook.close()
    assert (tmp_path / "told").read_text() == "a"
    assert [line["event"] for line in lines] == ["hook runs without a note of it", "hook has run"]


async def test_all_losses_are_told_a_few_at_a_time(tmp_path: Path) -> None:
    """A provider that ends all sign-ins at once: never more than four commands, and none is left out."""
    code = (
        "import os, sys, pathlib;"
        "here = pathlib.Path(sys.argv[1]); mine = here / os.environ['JMAP_PROXY_ACCOUNT']; mine.touch();"
        "open(sys.argv[2], 'a').write(f'{len(list(here.iterdir()))}\\n'); mine.unlink()"
    )
    running, counts = tmp_path / "running", tmp_path / "counts"
    running.mkdir()
    hook = SignInHook(python(code, running, counts))
    for number in range(5 * AT_ONCE):
        hook(str(number), Notes(), "first", "")
    await hook.close()
    told = [int(line) for line in counts.read_text().split()]
    assert len(told) == 5 * AT_ONCE
    assert max(told) <= AT_ONCE


async def test_what_a_shutdown_leaves_undone_is_not_noted(tmp_path: Path) -> None:
    """The next start tells it; those that run are ended with the time that a shutdown has."""
    hook = SignInHook(python("import time; time.sleep(60)"), time_limit=0.2)
    notes = [Notes() for _ in range(3 * AT_ONCE)]
    with capture_logs() as lines:
        for number, each in enumerate(notes):
            hook(str(number), each, "first", "")
        async with asyncio.timeout(LIMIT):
            await hook.close()
    left = [each for each in notes if not each.told]
    assert len(left) >= AT_ONCE
    assert any(line["event"] == "hooks are left to the next start" for line in lines)
    after = SignInHook(telling(tmp_path / "told"))
    for number, each in enumerate(notes):
        after(str(number), each, "first", ".")
    await after.close()
    assert (tmp_path / "told").read_text().count(".") == len(left)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (["/nowhere/to/be/found"], "hook cannot be run"),
        (shlex.split(f"{sys.executable} -c 'import time; time.sleep(60)'"), "hook took too long and was ended"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "hook has run"),
    ],
)
async def test_what_goes_wrong_is_logged_and_hurts_nobody(command: list[str], event: str) -> None:
    """Nothing is raised, and nothing waits for ever."""
    hook = SignInHook(command, time_limit=LIMIT if "raise" in command[-1] else 0.05)
    with capture_logs() as lines:
        hook("alice", Notes(), "first", "gone")
        await asyncio.gather(*hook._running)
    assert [(line["event"], line["log_level"] in {"warning", "error"}) for line in lines] == [(event, True)]


async def test_its_children_are_ended_with_it(tmp_path: Path) -> None:
    """It runs in a session of its own, which ends with the time that it has, and not with a ^C at our terminal."""
    script = "(ps -o sid= -p $$; exec sleep 60) > $0 & wait"
    async with named_pipe(tmp_path / "pipe") as pipe, asyncio.timeout(LIMIT):
        hook = SignInHook(["/bin/sh", "-c", script, str(tmp_path / "pipe")], time_limit=2.0)
        hook("alice", Notes(), "first", "")
        told = int(await pipe.read())
        await hook.close()
    assert told != os.getsid(0)


async def test_without_a_command_nothing_is_run_and_nothing_noted() -> None:
    """So that a proxy that has one tells it; a command that comes with a reload is used from then on."""
    hook, notes = SignInHook(()), Notes()
    hook("alice", notes, "first", "gone")
    await hook.close()
    assert not notes.told
    hook.command = ("/nowhere",)
    hook("alice", notes, "first", "gone")
    await hook.close()
    assert notes.told == {"first"}

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from jmap_proxy.cli.reloading import INTERVAL, Reloading, identity_of
from jmap_proxy.config import Config, load_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.sandbox import Fault
from tests.cli.test_serve import session_of
from tests.support.ports import free_port
from tests.support.program import TIME_LIMIT, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from aiohttp import ClientSession

    from tests.support.world import World

GOOD = '[listen]\nhttp = "127.0.0.1:1"\n'
OTHER = '[listen]\nhttp = "127.0.0.1:22"\n'
BAD = '[listen]\nhttpp = "127.0.0.1:333"\n'


class Followed:
    """A configuration file that is followed, and what was taken up."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.toml"
        self.file.write_text(GOOD)
        self.taken: list[str] = []
        self.error: Exception | None = None
        self.held: Awaitable[object] | None = None
        self.told = asyncio.Event()
        self.rounds, self.slept = asyncio.Queue[None](), list[float]()
        self.reloading = Reloading(
            self.file, lambda: load_config(self.file), self.take_up, self.told, identity_of(self.file), self.sleep
        )

    async def take_up(self, config: Config) -> None:
        """As a running proxy does."""
        if self.error is not None:
            raise self.error
        if self.held is not None:
            await self.held
        self.taken.append(config.listen.http)

    async def sleep(self, seconds: float) -> None:
        """Until the next round."""
        self.slept.append(seconds)
        await self.rounds.get()

    async def look(self, times: int = 1) -> list[str]:
        """What was taken up by so many looks."""
        self.taken.clear()
        for _ in range(times):
            await self.reloading.look()
        return self.taken


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    """Give a file that is followed."""
    return Followed(tmp_path)


async def test_a_file_that_stays_is_not_read_again(followed: Followed) -> None:
    """However often it is looked at."""
    assert await followed.look(3) == []


async def test_a_changed_file_is_taken_up_once_it_is_at_rest(followed: Followed) -> None:
    """One that has changed since the last look may still be written: half a file can seem whole, and lack accounts."""
    followed.file.write_text(GOOD + "\n")
    assert await followed.look() == []
    followed.file.write_text(OTHER)
    assert await followed.look() == []
    assert await followed.look() == ["127.0.0.1:22"]
    assert await followed.look(3) == []


async def test_a_file_that_is_replaced_is_taken_up(followed: Followed) -> None:
    """As editors do: a new file gets the name."""
    new = followed.file.with_suffix(".new")
    new.write_text(GOOD)
    new.replace(followed.file)
    assert await followed.look(2) == ["127.0.0.1:1"]


async def test_a_change_between_the_first_reading_and_the_first_look(tmp_path: Path) -> None:
    """Is seen: the file's identity was taken before it was read."""
    followed = Followed(tmp_path)
    followed.file.write_text(OTHER)
    assert await followed.look(2) == ["127.0.0.1:22"]


@pytest.mark.parametrize("bad", [BAD, "[listen\n", "accounts = 1\n"])
async def test_a_bad_file_and_then_a_good_one(followed: Followed, bad: str) -> None:
    """All goes on as before, the log names file and key, once; the next good one is taken."""
    followed.file.write_text(bad)
    with structlog.testing.capture_logs() as logs:
        assert await followed.look(4) == []
    assert [each["log_level"] for each in logs] == ["error"]
    assert str(followed.file) in logs[0]["detail"]
    assert ("httpp" in logs[0]["detail"]) is (bad is BAD)
    followed.file.write_text(OTHER)
    assert await followed.look(2) == ["127.0.0.1:22"]


async def test_a_file_that_is_gone_for_a_moment(followed: Followed) -> None:
    """Some editors remove it first; only one that is gone for good is an error."""
    followed.file.unlink()
    with structlog.testing.capture_logs() as logs:
        await followed.look()
        assert logs == []
        await followed.look(3)
    assert [each["detail"] for each in logs] == [f"there is no configuration file {followed.file}"]
    followed.file.write_text(OTHER)
    assert await followed.look(2) == ["127.0.0.1:22"]


@pytest.mark.parametrize("error", [ConfigError("listen.http: taken", hint="wait"), RuntimeError("unforeseen")])
async def test_what_cannot_be_taken_up_is_told(followed: Followed, error: Exception) -> None:
    """Whatever it is: the next one is taken."""
    followed.error = error
    followed.file.write_text(OTHER)
    with structlog.testing.capture_logs() as logs:
        assert await followed.look(2) == []
    assert [each["log_level"] for each in logs] == ["error"]
    followed.error = None
    await followed.reloading.reload()
    assert followed.taken == ["127.0.0.1:22"]


async def test_a_file_that_changes_while_it_is_taken_up(followed: Followed) -> None:
    """Is taken up once more."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        entered.set()
        await go_on.wait()

    followed.held = hold()
    reload = asyncio.create_task(followed.reloading.reload())
    await entered.wait()
    followed.file.write_text(OTHER)
    go_on.set()
    await reload
    followed.held = None
    assert followed.taken == ["127.0.0.1:1"]
    assert await followed.look(2) == ["127.0.0.1:22"]


async def test_two_reloads_at_once_come_one_after_the_other(followed: Followed) -> None:
    """What is told meanwhile is not forgotten; the file is looked at each two seconds."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        entered.set()
        await go_on.wait()

    followed.held = hold()
    running = asyncio.create_task(followed.reloading.run())
    followed.told.set()
    await entered.wait()
    followed.held = None
    followed.file.write_text(OTHER)
    followed.told.set()
    followed.rounds.put_nowait(None)
    go_on.set()
    async with asyncio.timeout(TIME_LIMIT):
        while followed.taken != ["127.0.0.1:1", "127.0.0.1:22"] or len(followed.slept) < 2:  # noqa: ASYNC110 - two lists
            await asyncio.sleep(0)
    assert set(followed.slept) == {INTERVAL}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(world: World) -> AsyncIterator[tuple[Program, str]]:
    """A `serve`, its origin, and an end without a trace of an error."""
    program, origin = await world.serve()
    yield program, origin
    ended = await program.end(signal.SIGTERM)
    assert ended.code == 0
    assert "Traceback" not in ended.err


async def listening(origin: str, client: ClientSession, key: str) -> None:
    """Wait until the Session can be had there."""
    async with asyncio.timeout(TIME_LIMIT):
        while True:
            with contextlib.suppress(OSError):
                assert (await session_of(client, origin, key))[0] == 200
                return


def move(world: World, port: int) -> None:
    """Another port for clients, as an editor writes it."""
    new = world.config.with_suffix(".new")
    new.write_text(world.config.read_text().replace('http = "127.0.0.1:0"', f'http = "127.0.0.1:{port}"'))
    new.replace(world.config)


@pytest.mark.parametrize("hang_up", [True, False])
async def test_a_running_serve_takes_up_its_file(world: World, client: ClientSession, *, hang_up: bool) -> None:
    """By SIGHUP, and without it; no token is asked for because of it."""
    key, port = (await world.sign_in()).local_key, free_port()
    async with serving(world) as (program, _):
        asked = len(world.idp.token_requests)
        move(world, port)
        if hang_up:
            program.process.send_signal(signal.SIGHUP)
        await listening(f"http://127.0.0.1:{port}", client, key)
        assert len(world.idp.token_requests) == asked


async def test_a_running_serve_survives_a_bad_file(world: World, client: ClientSession) -> None:
    """Also one without accounts; SIGHUP takes the next good one."""
    key, port = (await world.sign_in()).local_key, free_port()
    good = world.config.read_text()
    async with serving(world) as (program, origin):
        for bad in ("[lis", "", good.replace("issuer", "isuer")):
            world.config.write_text(bad)
            program.process.send_signal(signal.SIGHUP)
            assert (await session_of(client, origin, key))[0] == 200
        world.config.write_text(good)
        move(world, port)
        program.process.send_signal(signal.SIGHUP)
        await listening(f"http://127.0.0.1:{port}", client, key)


ON_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "jmap_proxy", *sys.argv[1:]])
"""


async def test_a_terminal_that_is_closed_ends_it(world: World, client: ClientSession) -> None:
    """SIGHUP by hand reloads there, too; the one of the closed window does not leave a proxy that nobody sees."""
    key, port = (await world.sign_in()).local_key, free_port()
    window, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ON_A_TERMINAL, "serve", "--config", str(world.config)),
        env={**os.environ, **world.env},
        stdin=terminal,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(terminal)
    program = Program(process)
    world.programs.append(program)
    assert (await program.line()).startswith("listening on ")
    move(world, port)
    process.send_signal(signal.SIGHUP)
    await listening(f"http://127.0.0.1:{port}", client, key)
    os.close(window)
    assert (await program.end()).code == 0


async def test_a_reload_during_the_shutdown(world: World, client: ClientSession) -> None:
    """SIGHUP while requests finish changes nothing, and does not end the process early."""
    key = (await world.sign_in()).local_key
    program, origin = await world.serve()
    fault = world.mail.faults.add("session", Fault(hold=asyncio.Event()))
    asking = asyncio.create_task(session_of(client, origin, key))
    await fault.entered.wait()
    move(world, free_port())
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        program.process.send_signal(number)
    assert fault.hold is not None
    fault.hold.set()
    assert (await asking)[0] == 200
    ended = await program.end()
    assert (ended.code, "Traceback" in ended.err) == (0, False)

"""A sign-in that ends at any moment without a chance to tidy up: nothing is half saved, and the next one works."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path

import pytest

from jmap_proxy.cli.config_writing import ConfigFile, section
from jmap_proxy.sandbox import Fault, browse
from jmap_proxy.sandbox.shapes import stalwart
from tests.acceptance.test_sign_in import ALICE, SETTINGS, local_key, newcomer
from tests.sandbox.helpers import until

LOCKS = Path("/proc/locks")


def waits_for_a_lock(process: int) -> bool:
    """Whether it stands before a lock that somebody else holds (proc_locks(5))."""
    return any("->" in line and f" {process} " in line for line in LOCKS.read_text().splitlines())


@pytest.mark.parametrize("moment", ["token", "jwks", "session"])
async def test_what_is_killed_has_saved_nothing(tmp_path: Path, moment: str) -> None:
    """While it waits for the tokens, for the keys to check them with, for the Session: no file is there or changed."""
    async with newcomer(tmp_path, stalwart) as it:
        before, released = it.saved(), asyncio.Event()
        program = await it.start("login", ALICE, "--server", it.mail.session_url, "--no-browser")
        url = await program.line()
        fault = Fault(hold=released)
        (it.mail if moment == "session" else it.provider).faults.add(moment, fault)
        browser = asyncio.create_task(browse(url))
        await fault.entered.wait()
        assert (await program.end(signal.SIGKILL)).code == -signal.SIGKILL
        released.set()
        await asyncio.gather(browser, return_exceptions=True)
        assert it.saved() == before
        ended = await it.login()
        assert ended.code == 0, ended.err
        assert len(await it.first_mail(local_key(ended))) == 3


async def test_what_is_killed_between_two_files_can_be_gone_on_with(tmp_path: Path) -> None:
    """The section is written and the tokens are not: `login` goes on, and the section stays one."""
    async with newcomer(tmp_path, stalwart) as it:
        keys = {"server": it.mail.session_url, "issuer": it.provider.issuer}
        ConfigFile(it.config).add(ALICE, section(ALICE, keys))
        program = await it.start("login", ALICE, "--no-browser")
        await browse(await program.line())
        ended = await program.end()
        assert ended.code == 0, ended.err
        assert it.config.read_text().count("[accounts.") == 1
        assert it.config.read_text().startswith(SETTINGS)
        assert len(await it.first_mail(local_key(ended))) == 3


@pytest.mark.skipif(not LOCKS.exists(), reason="needs Linux")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_what_is_being_saved_is_saved(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C comes too late then: no revoked tokens stay behind, and the key is shown."""
    async with newcomer(tmp_path, stalwart) as it:
        program = await it.start("login", ALICE, "--server", it.mail.session_url, "--no-browser")
        url = await program.line()
        folder = os.open(it.config.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            browser = asyncio.create_task(browse(url))
            await until(lambda: waits_for_a_lock(program.process.pid))
            program.process.send_signal(number)
            await browser
        finally:
            os.close(folder)
        ended = await program.end()
        assert ended.code == 0, ended.err
        assert it.provider.revocations == []
        assert len(await it.first_mail(local_key(ended))) == 3


async def test_two_sign_ins_for_two_accounts_at_once(tmp_path: Path) -> None:
    """Both accounts are there afterwards, each with its tokens and its key."""
    async with newcomer(tmp_path, stalwart) as it:
        names = ("work", "home")
        programs = [
            await it.start("login", ALICE, "--name", name, "--server", it.mail.session_url, "--no-browser")
            for name in names
        ]
        urls = [await program.line() for program in programs]
        await asyncio.gather(*map(browse, urls))
        ended = await asyncio.gather(*(program.end() for program in programs))
        assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
        assert {path.stem for path in (it.state / "tokens").glob("*.jwe")} == set(names)
        for each, name in zip(ended, names, strict=True):
            assert f"[accounts.{name}]" in it.config.read_text()
            assert len(await it.first_mail(local_key(each))) == 3


async def test_two_sign_ins_for_one_new_account_at_once(tmp_path: Path) -> None:
    """One of them is told that the account is there by now; its grant and its client are given back."""
    async with newcomer(tmp_path, stalwart) as it:
        programs = [await it.start("login", ALICE, "--server", it.mail.session_url, "--no-browser") for _ in range(2)]
        urls = [await program.line() for program in programs]
        await asyncio.gather(*map(browse, urls))
        ended = sorted(await asyncio.gather(*(program.end() for program in programs)), key=lambda each: each.code)
        assert [each.code for each in ended] == [0, 78], [each.err for each in ended]
        assert f"run: jmap-proxy login {ALICE}" in ended[1].err
        assert len(it.provider.registered_clients) == 1
        assert it.config.read_text().count("[accounts.") == 1
        assert len(await it.first_mail(local_key(ended[0]))) == 3

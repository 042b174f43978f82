"""A browser that does not find the way back (measured: Fastmail may leave the port out), and a user at a terminal."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

import aiohttp

from jmap_proxy.sandbox.shapes import stalwart
from tests.acceptance.test_sign_in import ALICE, local_key, newcomer

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_address_that_failed_to_load_can_be_pasted(tmp_path: Path) -> None:
    """The terminal says so, and takes it; what is not it is told."""
    async with newcomer(tmp_path, stalwart) as it:
        it.provider.settings.drop_callback_port = True
        terminal, stdin = pty.openpty()
        try:
            program = await it.start("login", ALICE, "--server", it.mail.session_url, "--no-browser", stdin=stdin)
            url = await program.line()
            async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as response:
                address = response.headers["Location"]
            assert address.startswith("http://127.0.0.1/callback?")
            os.write(terminal, f"what?\n{address}\n".encode())
            ended = await program.end()
        finally:
            os.close(terminal)
            os.close(stdin)
        assert ended.code == 0, ended.err
        assert "If the browser fails to load the last page" in ended.err
        assert "This is not the address" in ended.err
        assert len(await it.first_mail(local_key(ended))) == 3

from __future__ import annotations

import asyncio
import io
import os
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import pytest

from jmap_proxy.cli.ways import _open_browser, browser_in_sight, no_browser_hint, told_on_device, way_of
from jmap_proxy.oauth.device import DevicePrompt

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "https://sso.example.com/authorize?state=x&redirect_uri=http%3A%2F%2F127.0.0.1%3A45678%2Fcallback"


PROMPT = DevicePrompt(
    verification_uri="https://sso.example.com/device",
    verification_uri_complete="https://sso.example.com/device?user_code=ABCD-EFGH",
    user_code="ABCD-EFGH",
)


class Terminal(io.TextIOWrapper):
    """A terminal with an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("environment", "platform", "seen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ""}, "linux", False),
        ({}, "linux", False),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"SSH_CONNECTION": "1 2 3 4"}, "darwin", False),
        ({"SSH_CONNECTION": "1 2 3 4", "DISPLAY": "localhost:10.0"}, "linux", False),
        ({"SSH_CONNECTION": "1 2 3 4", "BROWSER": "w3m"}, "linux", True),
        ({"BROWSER": ""}, "linux", False),
    ],
)
def test_whether_a_browser_is_in_sight(environment: Mapping[str, str], platform: str, seen: bool) -> None:
    """Where the user sits at another machine, or there is no display, none opens; BROWSER is the user's own word."""
    assert browser_in_sight(environment, platform) is seen


def test_without_a_browser_all_ways_are_named() -> None:
    """With the port that has to be forwarded; the URL stands alone at the end."""
    told = no_browser_hint(URL)
    assert "ssh -L 45678:127.0.0.1:45678" in told
    assert "--device" in told
    assert "--paste" in told
    assert told.splitlines()[-1] == URL


def test_a_url_that_tells_no_port_is_no_reason_to_forward_one() -> None:
    """That of a request that was pushed (RFC 9126)."""
    told = no_browser_hint("https://sso.example.com/authorize?client_id=x&request_uri=urn%3Ax")
    assert "ssh" not in told
    assert "--device" in told


def test_where_no_browser_is_none_is_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ways are told instead."""
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    monkeypatch.delenv("BROWSER", raising=False)
    _open_browser(URL)
    assert capsys.readouterr() == ("", no_browser_hint(URL) + "\n")


def test_ways_exclude_each_other() -> None:
    """One at a time."""
    with pytest.raises(click.UsageError, match="exclude each other"):
        way_of(no_browser=False, device=True, paste=True)


def test_a_terminal_shows_a_picture() -> None:
    """A QR code that holds the code already; beside it what to do without a camera."""
    told = told_on_device(PROMPT, Terminal("utf-8"))
    assert "█" in told
    assert told.endswith("Open this on any device: https://sso.example.com/device\nand enter this code:     ABCD-EFGH")
    assert told != told_on_device(replace(PROMPT, verification_uri_complete=""), Terminal("utf-8"))


@pytest.mark.parametrize("length", [321, 5000])
def test_a_picture_that_would_not_fit_is_not_shown(length: int) -> None:
    """That of the page alone is; where even that is too long there is text. The largest fits into 80 columns."""
    long = f"https://sso.example.com/{'x' * (length - 24)}"
    assert told_on_device(replace(PROMPT, verification_uri_complete=long), Terminal("utf-8")) == told_on_device(
        replace(PROMPT, verification_uri_complete=""), Terminal("utf-8")
    )
    told = told_on_device(replace(PROMPT, verification_uri=long, verification_uri_complete=long), Terminal("utf-8"))
    assert told.startswith("Open this on any device: ")
    picture = told_on_device(replace(PROMPT, verification_uri_complete=long[:320]), Terminal("utf-8"))
    assert "█" in picture
    assert max(map(len, picture.splitlines())) <= 80


@pytest.mark.parametrize("out", [io.StringIO(), Terminal("ascii")])
def test_elsewhere_there_is_text_alone(out: io.StringIO | Terminal) -> None:
    """In a pipe, or where the blocks of a QR code cannot be shown."""
    assert told_on_device(PROMPT, out).isascii()


async def test_a_line_is_read_without_buffering() -> None:
    """What follows the line is left for whoever reads next; at the end there is an empty one."""
    code = """import asyncio, sys
from jmap_proxy.cli.ways import read_line
async def main():
    print(*[ascii(await read_line()) for _ in range(3)])
asyncio.run(main())
"""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    out, _ = await program.communicate(b"one\ntwo \xff")
    assert out.decode() == "'one\\n' 'two \\ufffd' ''\n"


@pytest.mark.parametrize("stdin", ["<&-", "0>/dev/null"])
async def test_no_stdin_is_its_end(stdin: str) -> None:
    """A service has none, or what cannot be read; nobody waits for what never comes."""
    code = "import asyncio; from jmap_proxy.cli.ways import read_line; print(ascii(asyncio.run(read_line())))"
    command = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} {stdin}"
    program = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            assert await program.communicate() == (b"''\n", b"")
    finally:
        if program.returncode is None:
            program.kill()


async def test_asking_can_be_given_up() -> None:
    """A program that waits for a line that never comes ends when it is told to, without an error."""
    code = """import asyncio, sys
from jmap_proxy.cli.ways import read_line
async def main():
    waiting = asyncio.create_task(read_line())
    await asyncio.sleep(0)
    print("waits", flush=True)
    waiting.cancel()
asyncio.run(main())
"""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    assert await program.stdout.readline() == b"waits\n"
    assert await program.wait() == 0
    assert await program.stderr.read() == b""

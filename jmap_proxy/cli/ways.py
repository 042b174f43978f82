"""The ways to go through a sign-in at a terminal: a browser, its URL alone, another device, or a pasted URL.

What the provider and the proxy say to each other is `oauth`'s; here is what the user sees and types.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING, TextIO
from urllib.parse import parse_qs, urlsplit

import click
import segno

from jmap_proxy.cli.shown import shown
from jmap_proxy.cli.signing_in import by_browser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jmap_proxy.cli.signing_in import Flow
    from jmap_proxy.oauth.device import DevicePrompt
    from jmap_proxy.oauth.sign_in import SignIn
    from jmap_proxy.tokens import TokenSet

LONGEST_LINE = 64 << 10
"""Bytes of a line that is pasted."""

LONGEST_PICTURED = 320
"""Bytes of a URL in a QR code; with more the picture does not fit into 80 columns (ISO/IEC 18004: version 11)."""


def way_of(*, no_browser: bool, device: bool, paste: bool) -> Flow:
    """The way that the options of the command line mean. Raises UsageError where they mean several."""
    if no_browser + device + paste > 1:
        raise click.UsageError("--no-browser, --device and --paste exclude each other")
    if device:
        return _by_device
    if paste:
        return _by_paste
    show_url = _print_url if no_browser else _open_browser
    if sys.stdin is None or not sys.stdin.isatty():
        return by_browser(show_url)

    def show_and_offer(url: str) -> None:
        show_url(url)
        click.echo("If the browser fails to load the last page, copy that page's address and paste it here.", err=True)

    return by_browser(show_and_offer, read_line, _tell)


async def by_client_credentials(sign_in: SignIn, account: str, login_hint: str) -> TokenSet:
    """Without a user (RFC 6749 §4.4)."""
    del login_hint
    return await sign_in.by_client_credentials(account)


async def _by_device(sign_in: SignIn, account: str, login_hint: str) -> TokenSet:
    del login_hint  # RFC 8628 has none
    return await sign_in.by_device(account, _show_prompt)


async def _by_paste(sign_in: SignIn, account: str, login_hint: str) -> TokenSet:
    click.echo("Open this in any browser, and sign in there:", err=True)
    return await sign_in.by_paste(account, _print_and_ask, read_line, login_hint=login_hint, tell=_tell)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _print_url(url: str) -> None:
    click.echo("Open this in a browser on this machine:", err=True)
    click.echo(url)


def _print_and_ask(url: str) -> None:
    click.echo(url)
    click.echo(
        "At the end the browser fails to load a page of 127.0.0.1. Copy that page's address, paste it here:", err=True
    )


def _open_browser(url: str) -> None:
    if not browser_in_sight(os.environ, sys.platform):
        click.echo(no_browser_hint(url), err=True)
        return
    click.echo("A browser opens for the sign-in. If none does, open this on this machine:", err=True)
    click.echo(url, err=True)
    # In a thread: a browser of the terminal blocks until it ends, and needs the loopback listener before that.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def browser_in_sight(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser can open where the user sees it. Pure."""
    if environment.get("BROWSER"):
        return True
    if "SSH_CONNECTION" in environment:
        return False
    if platform in {"darwin", "win32"} or "WSL_DISTRO_NAME" in environment:
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def no_browser_hint(url: str) -> str:
    """What to do with an authorization URL where there is no browser. Pure."""
    target = parse_qs(urlsplit(url).query).get("redirect_uri", [""])[0]
    port = urlsplit(target).port
    forward = f"ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"
    here = f"- on the machine where you sit: {forward}, then open there what stands below\n"
    return f"""\
There is no browser here. One of these helps:
{here if port else ""}\
- end this with Ctrl-C, and run it again with --device (a telephone will do) or --paste (any browser)
{url}"""


def _show_prompt(prompt: DevicePrompt) -> None:
    click.echo(told_on_device(prompt, sys.stdout))


def told_on_device(prompt: DevicePrompt, out: TextIO) -> str:
    """What to show of a device flow, with a QR code where `out` is a terminal that can show it."""
    uri, code = shown(prompt.verification_uri), shown(prompt.user_code)
    told = f"Open this on any device: {uri}\nand enter this code:     {code}"
    if not out.isatty() or (out.encoding or "").lower().replace("-", "") != "utf8":
        return told
    uris = (prompt.verification_uri_complete, prompt.verification_uri)
    pictured = next((each for each in uris if 0 < len(each.encode()) <= LONGEST_PICTURED), "")
    if not pictured:
        return told
    picture = io.StringIO()
    segno.make(pictured, error="l").terminal(picture, compact=True)
    return f"{picture.getvalue()}\n{told}"


async def read_line() -> str:
    """A line of stdin, "" at its end.

    In a thread that nobody waits for, and without Python's own buffer: Ctrl-C must end the program also while the
    user is asked.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def tell(text: str) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        text = ""
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is no stdin, or none to read from
            text = _read_line(sys.stdin.fileno())
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(tell, text)

    threading.Thread(target=read, daemon=True).start()
    return await line


def _read_line(descriptor: int) -> str:
    data = b""
    while not data.endswith(b"\n") and len(data) < LONGEST_LINE and (piece := os.read(descriptor, 1)):
        data += piece
    return data.decode("utf-8", "replace")

"""`jmap-proxy login NAME`: sign an account in."""

from __future__ import annotations

import threading
import webbrowser
from typing import TYPE_CHECKING

import click

from jmap_proxy.addresses import Address, parse_address
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import run, with_config, with_log_level
from jmap_proxy.cli.signing_in import SignedIn, sign_in_and_save
from jmap_proxy.origins import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jmap_proxy.config import Config

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound to


@click.command()
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Print the sign-in URL instead of opening a browser.")
@with_config
@with_log_level("warning")
def login(name: str, config: Config, *, no_browser: bool) -> None:
    """Sign the account NAME in, in the browser, and print what to type into the mail client."""
    config.account(name)
    signed_in = run(_login(config, name, _print_url if no_browser else _open_browser))
    _tell(config, name, signed_in)


async def _login(config: Config, name: str, show_url: Callable[[str], None]) -> SignedIn:
    async with Assembly(config) as assembly:
        return await sign_in_and_save(assembly, name, show_url)


def _print_url(url: str) -> None:
    click.echo("Open this in a browser on this machine:", err=True)
    click.echo(url)


def _open_browser(url: str) -> None:
    click.echo("A browser opens for the sign-in. If none does, open this on this machine:", err=True)
    click.echo(url, err=True)
    # In a thread: a browser of the terminal blocks until it ends, and needs the loopback listener before that.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _reachable(scheme: str, address: Address, hosts: Sequence[str]) -> str:
    """The origin for the client: of a listener on all addresses, by the first name that it is known under."""
    host = address.host
    if host in EVERYWHERE:
        host = hosts[0] if hosts else "127.0.0.1"
    return str(Origin(scheme, host.strip("[]"), address.port))


def _tell(config: Config, name: str, signed_in: SignedIn) -> None:
    click.echo(f"Signed in as {signed_in.username or name}.")
    listen = config.listen
    for scheme, text in (("http", config.account(name).listen), ("http", listen.http), ("https", listen.https)):
        if (address := parse_address("listen", text)) is not None:
            click.echo(f"Session URL: {_reachable(scheme, address, listen.hosts)}/.well-known/jmap")
    click.echo(f"User name: {signed_in.username or name}")
    if signed_in.local_key:
        click.echo(f"Local key: {signed_in.local_key}")
        click.echo("Give the key to the client as password or bearer token. It is not shown again.")
    else:
        click.echo(f"The local key stays as it is; jmap-proxy key {name} makes a new one.")

"""`jmap-proxy login NAME|EMAIL`: sign an account in; one that is not configured yet is found and written down."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from jmap_proxy.addresses import parse_address
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.completing import account_names
from jmap_proxy.cli.config_writing import ConfigFile
from jmap_proxy.cli.new_account import Wanted, set_up
from jmap_proxy.cli.options import is_there, run, with_config_file, with_log_level
from jmap_proxy.cli.shown import shown
from jmap_proxy.cli.signing_in import SignedIn, sign_in
from jmap_proxy.cli.ways import by_client_credentials, way_of
from jmap_proxy.clients.ways_in import reachable
from jmap_proxy.config import Config, load_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.presets import presets

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from jmap_proxy.cli.signing_in import Flow

Result = TypeVar("Result")


@click.command()
@click.argument("name", metavar="NAME|EMAIL", shell_complete=account_names)
@click.option("--server", default="", metavar="URL", help="The JMAP server, where it cannot be found by the address.")
@click.option("--issuer", default="", metavar="URL", help="The identity provider, where the server does not name it.")
@click.option("--client-id", default="", metavar="ID", help="A client that is registered at the provider.")
@click.option(
    "--preset", default="", type=click.Choice(["", *presets()]), metavar="KIND", help=f"{', '.join(presets())}."
)
@click.option(
    "--name", "new_name", default="", metavar="NAME", help="Name of the new account; else what is given first."
)
@click.option("--no-browser", is_flag=True, help="Print the sign-in URL instead of opening a browser.")
@click.option("--device", is_flag=True, help="Sign in on another device, with a code.")
@click.option("--paste", is_flag=True, help="Sign in with any browser, and paste the URL that it ends at.")
@with_config_file
@with_log_level("error")
def login(
    name: str,
    server: str,
    issuer: str,
    client_id: str,
    preset: str,
    new_name: str,
    config_file: Path,
    *,
    no_browser: bool,
    device: bool,
    paste: bool,
) -> None:
    """Sign in, and print what to type into the mail client.

    NAME is an account of the configuration. Any other EMAIL becomes one: its server and identity provider are found.
    """
    flow = way_of(no_browser=no_browser, device=device, paste=paste)
    wanted = Wanted(who=name, server=server, issuer=issuer, client_id=client_id, preset=preset, name=new_name)
    file = ConfigFile(config_file)
    config = load_config(config_file) if is_there(config_file) else Config()
    if wanted.account_name in config.accounts:
        config = _with_choices(config, wanted)
        signed_in = run(_undone_when_ended(_login(config, name, flow)))
    elif "@" in name or server or preset:
        config, signed_in = run(_undone_when_ended(_login_new(config, wanted, file, flow)))
        click.echo(f"The account {wanted.account_name} is written to {config_file}.")
    else:
        config.account(name)  # raises: there is none, and nothing to find one by
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a letter that the terminal has not must not keep back the key
    _tell(config, wanted.account_name, signed_in)


async def _undone_when_ended(signing_in: Coroutine[Any, Any, Result]) -> Result:
    """The sign-in, which SIGTERM and a closed terminal end as Ctrl-C does: what was begun is undone first."""
    task = asyncio.ensure_future(signing_in)
    with contextlib.suppress(RuntimeError, ValueError):  # only the main thread is told of signals
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise click.Abort from None


async def _login(config: Config, name: str, flow: Flow) -> SignedIn:
    if config.account(name).sign_in == "client_credentials":
        flow = by_client_credentials
    async with Assembly(config) as assembly:
        return await sign_in(assembly, name, flow)


async def _login_new(config: Config, wanted: Wanted, file: ConfigFile, flow: Flow) -> tuple[Config, SignedIn]:
    text = await asyncio.to_thread(file.read)
    async with Assembly(config) as assembly:
        new, found = await set_up(assembly, wanted, file, text)
        for note in found.notes:
            click.echo(f"note: {shown(note)}", err=True)
        click.echo(f"Found {found.session_url}, which takes sign-ins of {found.issuer}.", err=True)
        config = new.config()
        async with assembly.branch(config) as branch:
            return config, await sign_in(branch, new.name, flow, found=found, new=new)


def _with_choices(config: Config, wanted: Wanted) -> Config:
    """The configuration with what the user says now of an account that leaves it open.

    Raises:
        ConfigError: the account says something else, or is not the one that is to be set up.
    """
    account, name = config.account(wanted.account_name), wanted.account_name
    if wanted.name or wanted.server or wanted.preset:
        raise ConfigError(
            f"there is an account {name!r} in the configuration already",
            hint=f"run: jmap-proxy login {name}, or set up another one with --name",
        )
    for key, given in (("issuer", wanted.issuer), ("client_id", wanted.client_id)):
        if given and getattr(account, key) not in ("", given):
            raise ConfigError(f"accounts.{name}.{key} says otherwise", hint="change it there, or leave the option out")
    chosen = {key: value for key, value in (("issuer", wanted.issuer), ("client_id", wanted.client_id)) if value}
    accounts = {**config.accounts, name: msgspec.structs.replace(account, **chosen)}
    return msgspec.structs.replace(config, accounts=accounts)


def _tell(config: Config, name: str, signed_in: SignedIn) -> None:
    for note in signed_in.notes:
        click.echo(f"note: {shown(note)}", err=True)
    username = shown(signed_in.username) or name
    click.echo(f"Signed in as {username}.")
    listen = config.listen
    for scheme, text in (("http", config.account(name).listen), ("http", listen.http), ("https", listen.https)):
        if (address := parse_address("listen", text)) is not None:
            click.echo(f"Session URL: {reachable(scheme, address, listen.hosts)}/.well-known/jmap")
    click.echo(f"User name: {username}")
    if signed_in.local_key:
        click.echo(f"Local key: {signed_in.local_key}")
        click.echo("Give the key to the client as password or bearer token. It is not shown again.")
    else:
        click.echo(f"The local key stays as it is; jmap-proxy key {name} makes a new one.")
    user = () if username == name else ("--user", username)
    click.echo(f"Settings for mail clients: {shlex.join(('jmap-proxy', 'clients', name, *user))} CLIENT")

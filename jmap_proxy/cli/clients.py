"""`jmap-proxy clients`: what to type into mail clients, with an account's real values."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.completing import account_names
from jmap_proxy.cli.options import with_config_file, with_log_level
from jmap_proxy.cli.running import unix_path
from jmap_proxy.clients import clients as known_clients
from jmap_proxy.clients.settings import Who, notes, render, way_for
from jmap_proxy.clients.ways_in import ways_in
from jmap_proxy.config import load_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.paths import config_file as usual_config_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmap_proxy.clients.ways_in import WayIn


class _One(msgspec.Struct):
    """What `--json` prints of one client's settings."""

    client: str
    account: str
    format: str
    settings: str
    notes: list[str]


class _Way(msgspec.Struct):
    """What `--json` prints of one client, or of one account's way in for it: an address, or what is missing."""

    title: str
    address: str
    missing: str = ""
    mend: str = ""


@click.command()
@click.argument("name", required=False, shell_complete=account_names)
@click.argument(
    "client", required=False, type=click.Choice(tuple(known_clients()), case_sensitive=False), metavar="[CLIENT]"
)
@click.option("--user", metavar="USER", help="The user name as the server tells it; else the account's name.")
@click.option(
    "--key-command",
    metavar="COMMAND",
    help="Prints the local key in a shell, e.g. 'pass show mail'; else cat of a file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_config_file
@with_log_level("warning")
def clients(
    name: str | None,
    client: str | None,
    user: str | None,
    key_command: str | None,
    config_file: Path,
    *,
    as_json: bool,
) -> None:
    """Show what to type into mail clients.

    Without arguments: the clients that are known, and the accounts. With the NAME of an account: where each client
    comes in. With a CLIENT, too: its settings, ready to be pasted; what is to be said of them goes to stderr.
    """
    assembly = Assembly(load_config(config_file))
    if name is None:
        _show_all(assembly, as_json=as_json)
        return
    ways = _ways(assembly, name)
    if client is None:
        _show_account(ways, as_json=as_json)
        return
    key_file = config_file.absolute().parent / f"{name}.key"
    who = Who(name, user or name, key_command or shlex.join(("cat", str(key_file))))
    known, way = known_clients()[client], way_for(client, known_clients()[client], ways)
    settings = render(known, who, way)
    said = [
        *notes(known, who, way),
        *_notes(assembly, who, way, None if key_command else key_file, _named(config_file)),
    ]
    if as_json:
        _print_json(_One(client, name, known.format, settings, said))
        return
    for note in said:
        click.echo(f"note: {note}", err=True)
    click.echo(settings, nl=False)


def _ways(assembly: Assembly, name: str) -> tuple[WayIn, ...]:
    unix = unix_path(assembly.state, assembly.config.listen.unix)
    authority_file = str(assembly.certificates.authority_file.absolute())
    return ways_in(assembly.config, name, authority_file=authority_file, unix=str(unix.absolute()) if unix else "")


def _named(config_file: Path) -> tuple[str, ...]:
    """What a further command has to be given for the same configuration."""
    return () if config_file == usual_config_file(os.environ) else ("--config", str(config_file))


def _notes(assembly: Assembly, who: Who, way: WayIn, key_file: Path | None, config: Sequence[str]) -> list[str]:
    """What is to be done before the settings work."""

    def run(*words: str) -> str:
        return f"run: {shlex.join(('jmap-proxy', *words, *config))}"

    said = list[str]()
    if way.ca_file and not Path(way.ca_file).exists():
        said.append(f"there is no certificate yet; {run('cert')}")
    if not way.needs_key:
        return said
    if not assembly.local_keys.has_key(who.account):
        said.append(f"the account has no local key yet; {run('login', who.account)}")
    if key_file is not None and not key_file.exists():
        said.append("the local key is expected in a file; to make a new one there, which ends an older one,")
        said.append(run("key", who.account, "--to", str(key_file)))
        said.append("or keep it elsewhere, and say how it is printed with --key-command")
    return said


def _show_all(assembly: Assembly, *, as_json: bool) -> None:
    accounts = {name: [way.shown for way in _ways(assembly, name)] for name in assembly.config.accounts}
    if as_json:
        told = {name: client.title for name, client in known_clients().items()}
        _print_json({"clients": told, "accounts": accounts})
        return
    _print_table(
        ("client", "", "by", "shows the key as"),
        [(name, each.title, ", ".join(each.kinds), each.sends) for name, each in known_clients().items()],
    )
    click.echo()
    _print_table(("account", "comes in at"), [(name, "\n".join(ways) or "-") for name, ways in accounts.items()])
    click.echo("\nSettings: jmap-proxy clients NAME CLIENT")


def _show_account(ways: Sequence[WayIn], *, as_json: bool) -> None:
    told = {name: _told(name, ways) for name in known_clients()}
    if as_json:
        _print_json(told)
        return
    _print_table(("client", "comes in at"), [(name, each.address or each.missing) for name, each in told.items()])
    for mend in dict.fromkeys(each.mend for each in told.values() if each.mend):
        click.echo(f"\nhint: {mend}")


def _told(name: str, ways: Sequence[WayIn]) -> _Way:
    client = known_clients()[name]
    try:
        return _Way(client.title, way_for(name, client, ways).shown)
    except ConfigError as error:
        return _Way(client.title, "", error.detail, error.hint)


def _print_json(told: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*titles, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))  # as they are: plain strings would be read as markup
    Console(soft_wrap=False).print(table)

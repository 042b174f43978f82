"""`jmap-proxy status`: how the accounts are doing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jmap_proxy.addresses import parse_address
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import run, with_config, with_log_level
from jmap_proxy.doctor.running import ask_proxy
from jmap_proxy.errors import StoreError
from jmap_proxy.origins import Origin
from jmap_proxy.status.overview import AccountStatus, account_status, clock_warnings, foretold_ends, in_words
from jmap_proxy.tokens.losses import Loss

if TYPE_CHECKING:
    from jmap_proxy.config import Config
    from jmap_proxy.tokens.report import TokenReport

ASK = aiohttp.ClientTimeout(total=2)


@click.command(short_help="Show how the accounts are doing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; times are epoch seconds.")
@with_config
@with_log_level("warning")
def status(config: Config, *, as_json: bool) -> None:
    """Show the accounts, how long their tokens live and what went wrong last."""
    assembly = Assembly(config)
    accounts, running = run(_collect(assembly))
    data_key = _data_key(assembly)
    if as_json:
        told = {"running": running, "data_key": data_key, "accounts": accounts}
        click.echo(msgspec.json.encode(told).decode())
    else:
        _print_table(accounts, assembly.clock())
        for line in (*clock_warnings(accounts), *foretold_ends(accounts)):
            click.echo(line)
        click.echo(f"The proxy is {'running' if running else 'not running'}. Tokens are encrypted with: {data_key}")


def _data_key(assembly: Assembly) -> str:
    """Where the data key is; what is wrong with that place is told, and stops nothing else."""
    try:
        return assembly.data_key.describe()
    except StoreError as error:
        return f"{error.detail} ({error.hint})"


async def _collect(assembly: Assembly) -> tuple[dict[str, AccountStatus], bool]:
    live = await _ask_proxy(assembly.config)
    statuses = {}
    for name, account in assembly.config.accounts.items():
        stored, losses, refusal, store_error = None, list[Loss](), None, ""
        store = assembly.store(name)
        try:
            stored = await store.load()
            losses, refusal = await store.losses(), await store.refusal()
        except StoreError as error:
            store_error = f"{error.detail} ({error.hint})"
        statuses[name] = account_status(
            server=account.server,
            issuer=account.issuer or (stored.issuer if stored else ""),
            local_key=await asyncio.to_thread(assembly.local_keys.has_key, name),
            stored=stored,
            store_error=store_error,
            live=None if live is None else live.get(name),
            now=assembly.clock(),
            losses=losses,
            refusal=refusal,
        )
    return statuses, live is not None


async def _ask_proxy(config: Config) -> dict[str, TokenReport] | None:
    """What a running proxy tells of its accounts; None if none answers."""
    address = parse_address("listen.admin", config.listen.admin)
    if address is None or not address.port:
        return None
    async with aiohttp.ClientSession(timeout=ASK) as session:
        return await ask_proxy(session, Origin("http", address.host, address.port))


def _print_table(accounts: dict[str, AccountStatus], now: float) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("account", "state", "token expires", "next refresh", "last error"):
        # what is long is folded; a word of ours stays whole
        table.add_column(title, overflow="fold", no_wrap=title in {"state", "token expires", "next refresh"})
    for name, account in accounts.items():
        table.add_row(
            Text(name),  # as it is: a plain string would be read as markup
            account.state.value,
            in_words(account.expires_at, now),
            in_words(account.next_refresh_at, now),
            Text(_shown(account.last_error) or "-"),
        )
    Console(soft_wrap=False).print(table)


def _shown(text: str) -> str:
    """What a terminal shows and does not obey: any program can be on the admin port, or write a line of the store's."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)

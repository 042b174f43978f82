"""`jmap-proxy token NAME`: a valid access token on stdout, for scripts and password commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.completing import account_names
from jmap_proxy.cli.options import run, with_config, with_log_level
from jmap_proxy.config import Hooks

if TYPE_CHECKING:
    from jmap_proxy.config import Config

PATIENCE = 30.0
"""Seconds to wait for the provider; a script waits longer than a mail client."""


@click.command(short_help="Print a valid access token, for scripts.")
@click.argument("name", shell_complete=account_names)
@with_config
@with_log_level("warning")
def token(name: str, config: Config) -> None:
    """Print an access token of the account NAME that is valid now."""
    config.account(name)
    run(_print_token(config, name))


async def _print_token(config: Config, name: str) -> None:
    without_hook = msgspec.structs.replace(config, hooks=Hooks())  # the script sees for itself, and must not wait
    async with Assembly(without_hook) as assembly:
        refresher = await assembly.refresher(name, patience=PATIENCE, may_register=False)
        click.echo(await refresher.ensure_valid_token())  # before the end of a refresh that nobody waits for

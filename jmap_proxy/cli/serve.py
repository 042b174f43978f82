"""`jmap-proxy serve`: the proxy, for all accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import run, with_config, with_log_level
from jmap_proxy.cli.running import running_proxy, stop_signals
from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from jmap_proxy.config import Config


@click.command()
@with_config
@with_log_level("info")
def serve(config: Config) -> None:
    """Run the proxy, for all accounts, until SIGINT or SIGTERM."""
    if not config.accounts:
        raise ConfigError("the configuration has no accounts", hint="add a section [accounts.NAME]")
    run(_serve(config))


async def _serve(config: Config) -> None:
    stopped = stop_signals()
    async with Assembly(config) as assembly, running_proxy(assembly) as addresses:
        for address in filter(None, (addresses.http, addresses.https)):
            click.echo(f"listening on {address}")
        if addresses.admin:
            click.echo(f"admin on {addresses.admin}")
        await stopped.wait()

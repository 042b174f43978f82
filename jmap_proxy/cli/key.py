"""`jmap-proxy key NAME`: a new local key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import with_config, with_log_level

if TYPE_CHECKING:
    from jmap_proxy.config import Config


@click.command()
@click.argument("name")
@with_config
@with_log_level("warning")
def key(name: str, config: Config) -> None:
    """Make a new local key for the account NAME; the old one stops working at once."""
    config.account(name)
    click.echo(f"Local key: {Assembly(config).local_keys.renew(name)}")

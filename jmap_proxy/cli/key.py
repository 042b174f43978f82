"""`jmap-proxy key NAME`: a new local key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jmap_proxy import files
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.completing import account_names
from jmap_proxy.cli.options import with_config, with_log_level
from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from jmap_proxy.config import Config


@click.command(short_help="Make a new local key; the old one stops working.")
@click.argument("name", shell_complete=account_names)
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file (mode 0600).")
@with_config
@with_log_level("warning")
def key(name: str, config: Config, file: Path | None) -> None:
    """Make a new local key for the account NAME; the old one stops working at once."""
    config.account(name)
    if file is not None:
        _check_place(file)  # before the old key stops working
    new = Assembly(config).local_keys.renew(name)
    if file is None:
        click.echo(f"Local key: {new}")
        return
    try:
        files.write_durably(file, f"{new}\n".encode())
    except StoreError:
        click.echo(f"Local key: {new}")  # it is the one that works now
        raise
    click.echo(f"The local key is in {file}.")


def _check_place(file: Path) -> None:
    """See that a key can be written there. Raises StoreError."""
    files.own_folder(file.absolute().parent)
    if os.access(file, os.F_OK) and not file.is_file():  # a device or a pipe would be replaced, too
        raise StoreError(f"{file}: not a plain file", hint="name another one")

"""`jmap-proxy doctor`: what is wrong, and what mends it."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.completing import account_names
from jmap_proxy.cli.options import is_there, run, with_config_file, with_log_level
from jmap_proxy.config import load_config
from jmap_proxy.doctor.examination import examine
from jmap_proxy.doctor.finding import Finding, error, fails, told
from jmap_proxy.doctor.installation import Installation
from jmap_proxy.doctor.private_files import look_at_config_file
from jmap_proxy.doctor.report import as_json, as_text
from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from jmap_proxy.config import Config


@click.command(short_help="Find out what is wrong, and say what mends it.")
@click.argument("name", required=False, shell_complete=account_names)
@click.option("--json", "as_json_text", is_flag=True, help="Print JSON; it holds no secret.")
@click.option("--offline", is_flag=True, help="Ask no server and no provider.")
@with_config_file
@with_log_level("error")
def doctor(name: str | None, config_file: Path, *, as_json_text: bool, offline: bool) -> None:
    """Find out what is wrong, with all accounts or with NAME alone, and say what mends it.

    Changes nothing. The exit code is 1 if there is an error, else 0.
    """
    findings = _examine(config_file, name, offline=offline)
    click.echo(as_json(findings, os.environ.get("HOME", "")) if as_json_text else as_text(findings))
    sys.exit(1 if fails(findings) else 0)


def _examine(config_file: Path, name: str | None, *, offline: bool) -> list[Finding]:
    try:
        if not is_there(config_file):
            what = f"there is no configuration file {config_file}"
            return [error("config-missing", what, "run: jmap-proxy login you@example.com, which makes it")]
        config = load_config(config_file)
    except ConfigError as trouble:
        return [told("config", trouble, mend=f"correct {config_file}"), *look_at_config_file(config_file)]
    if not config.accounts:
        return [error("no-accounts", f"{config_file} has no accounts", "run: jmap-proxy login you@example.com")]
    if name is not None and name not in config.accounts:
        what = f"there is no account {name!r} in {config_file} (there is: {', '.join(config.accounts)})"
        who = shlex.quote(name) if "@" in name else "EMAIL"
        return [error("unknown-account", what, f"name one of these, or run: jmap-proxy login {who}")]
    return run(_examine_accounts(config_file, config, (name,) if name else tuple(config.accounts), offline=offline))


async def _examine_accounts(
    config_file: Path, config: Config, accounts: tuple[str, ...], *, offline: bool
) -> list[Finding]:
    async with Assembly(config) as assembly:
        installation = Installation(
            config=config,
            config_file=config_file,
            accounts=accounts,
            state=assembly.state,
            data_keys=assembly.data_key,
            environment=os.environ,
            plane=assembly.plane,
            clock=assembly.clock,
        )
        return await examine(installation, offline=offline)

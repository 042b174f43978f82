"""The command line, one file a command. Only here are the concrete classes put together (assembly.py)."""

from __future__ import annotations

import sys

import click

from jmap_proxy import __version__
from jmap_proxy.cli.cert import cert
from jmap_proxy.cli.clients import clients
from jmap_proxy.cli.completion import PROGRAM, completion
from jmap_proxy.cli.demo import demo
from jmap_proxy.cli.doctor import doctor
from jmap_proxy.cli.exit_codes import told
from jmap_proxy.cli.key import key
from jmap_proxy.cli.login import login
from jmap_proxy.cli.logout import logout
from jmap_proxy.cli.serve import serve
from jmap_proxy.cli.service import service
from jmap_proxy.cli.shown import shown, shown_lines
from jmap_proxy.cli.status import status
from jmap_proxy.cli.store import store
from jmap_proxy.cli.token import token
from jmap_proxy.errors import JmapProxyError


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=told())
@click.version_option(__version__, prog_name=PROGRAM)
def commands() -> None:
    """Lets any JMAP client use a server that takes only OAuth 2.0."""


for command in (demo, login, serve, status, token, key, logout, clients, cert, service, store, doctor, completion):
    command.epilog = f"Exit codes: {PROGRAM} --help"
    commands.add_command(command)


def main() -> None:
    """Entry point: errors become a line, a hint and an exit code."""
    try:
        commands.main(prog_name=PROGRAM, standalone_mode=False)
    except JmapProxyError as error:
        click.echo(f"error: {shown(error.detail)}", err=True)
        if error.hint:
            click.echo(f"hint: {shown_lines(error.hint)}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)

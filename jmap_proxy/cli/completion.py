"""`jmap-proxy completion`: what lets the shell complete commands, options, accounts and clients."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

PROGRAM = "jmap-proxy"
VARIABLE = "_JMAP_PROXY_COMPLETE"
"""By which the shell's script asks this program (click's own protocol)."""

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a SHELL complete commands, options, accounts and clients.

    \b
    bash  eval "$(jmap-proxy completion bash)"    in ~/.bashrc
    zsh   eval "$(jmap-proxy completion zsh)"     in ~/.zshrc
    fish  jmap-proxy completion fish > ~/.config/fish/completions/jmap-proxy.fish
    """  # noqa: D301 - the backspace is click's mark for lines that stay as they are
    click.echo(SHELLS[shell](context.find_root().command, {}, PROGRAM, VARIABLE).source())

"""A process that forks others: each begins at once, since everything is imported already, and can be killed.

For each line on stdin, a JSON list of arguments, a child runs that command of the program, or for "refresh-loop" the
loop below. On stdout come "pid N", what the child says, and "ended STATUS". A child stays a zombie until the next
line, so that its number belongs to nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from jmap_proxy.cli import main
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import run
from jmap_proxy.config import load_config
from jmap_proxy.errors import SignInNeeded, TokenDelayed
from jmap_proxy.log import Levels, configure_logging

with contextlib.suppress(ImportError):  # an extra
    import uvloop  # noqa: F401 - for the children

PAUSE = 0.002
"""Seconds between two requests of the loop."""


def say(line: str) -> None:
    """Write a line to stdout in one piece: whoever is killed says it or does not."""
    os.write(1, line.encode() + b"\n")


async def refresh_loop(config: Path, name: str) -> None:
    """Ask for a valid token again and again; says each new generation, and the reason when the sign-in is lost."""
    generation = 0
    async with Assembly(load_config(config)) as assembly:
        refresher = await assembly.refresher(name)
        while True:
            try:
                await refresher.ensure_valid_token()
            except SignInNeeded as error:
                say(f"lost {error.detail}")
                return
            except TokenDelayed as error:
                say(f"delayed {error.detail}")
            if refresher.report().generation != generation:
                generation = refresher.report().generation
                say(f"generation {generation}")
            await asyncio.sleep(PAUSE)


def live(args: list[str]) -> None:
    """A child's life."""
    say(f"pid {os.getpid()}")
    if args[0] == "refresh-loop":
        configure_logging(Levels("error"))
        run(refresh_loop(Path(args[1]), args[2]))
    else:
        sys.argv = ["jmap-proxy", *args]
        main()


def forked(args: list[str]) -> int:
    """Fork a child that lives so; its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        live(args)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def nurse() -> None:
    """Fork one child after the other, until stdin ends."""
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = forked(json.loads(line))
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        say(f"ended {ended.si_status}")


if __name__ == "__main__":
    nurse()

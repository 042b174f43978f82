"""`python -m bench.profile`: where the microseconds of an API call go.

py-spy looks at the running proxy a thousand times a second, from outside, at Python's frames and at those of C: system
calls and aiohttp's parsers can be seen too. What it sees is added up by file, by function, and by function with what it
calls. Only the loop's thread counts. It stands still while it is looked at, so that only shares are meant seriously.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench.contenders.contender import CALL
from bench.load.wrk import wrk
from bench.machine import TOOLS, choose_cores
from bench.stage import stage
from jmap_proxy.log import configure_logging, parse_levels

CONNECTIONS = 16
HZ = 1000
MOST = 40
"""Functions that are shown."""

LOOP = "runners.py:Runner.run"
"""Below it is all that the loop's thread does."""

_FRAME = re.compile(r"(?P<function>.*) \((?P<file>[^()]*)\)")


def _frames(stack: str) -> list[tuple[str, str]]:
    """The function and file of each frame, outermost first."""
    found = (_FRAME.fullmatch(frame) for frame in stack.split(";"))
    return [(match["function"], match["file"].rpartition(":")[0] or match["file"]) for match in found if match]


def _part(file: str) -> str:
    """The part of the program that a file is of."""
    path = file.replace("\\", "/")
    if "jmap_proxy/" in path:
        return "jmap_proxy/" + path.rpartition("jmap_proxy/")[2]
    if "aiohttp/" in path:
        return "aiohttp/" + path.rpartition("aiohttp/")[2]
    return Path(path).name


def add_up(collapsed: str) -> tuple[Counter[str], Counter[str], Counter[str], int]:
    """Samples by file, by function itself, by function with what it calls, and all together. Pure."""
    files, own, whole = Counter[str](), Counter[str](), Counter[str]()
    total = 0
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [(f"{_part(file)}:{function}", _part(file)) for function, file in _frames(stack)]
        names = [name for name, _ in frames]
        if LOOP not in names:
            continue
        frames = frames[names.index(LOOP) + 1 :] or frames[-1:]
        number = int(count)
        total += number
        own[frames[-1][0]] += number
        files[frames[-1][1]] += number
        for name in {name for name, _ in frames}:
            whole[name] += number
    return files, own, whole, total


async def _profile(scheme: str, seconds: int) -> tuple[str, float]:
    """Collapsed stacks, and seconds of processor time for a request."""
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.load})
    async with stage(cores) as ready, ready.one(ready.contenders[0], scheme) as proxy:
        url, out = proxy.url("api"), ready.folder / "stacks"
        await wrk(cores.load, url, proxy.key, CONNECTIONS, 1, body=CALL)
        before = proxy.process.cpu_seconds()
        calm = await wrk(cores.load, url, proxy.key, CONNECTIONS, seconds, body=CALL)
        cost = (proxy.process.cpu_seconds() - before) / calm.requests
        loading = asyncio.create_task(wrk(cores.load, url, proxy.key, CONNECTIONS, seconds + 2, body=CALL))
        process = await asyncio.create_subprocess_exec(
            str(TOOLS / "py-spy/bin/py-spy"), "record", "--pid", str(proxy.process.pid), "--rate", str(HZ),
            "--duration", str(seconds), "--format", "raw", "--function", "--output", str(out), "--native",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
        await loading
        if process.returncode:
            raise click.ClickException(said.decode())
        return out.read_text(), cost


@click.command()
@click.option("--scheme", type=click.Choice(["http", "https"]), default="http", show_default=True)
@click.option("--seconds", default=5, show_default=True)
def main(scheme: str, seconds: int) -> None:
    """Show where the time of API calls goes, with 16 connections."""
    configure_logging(parse_levels("warning", "warning"))
    collapsed, cost = uvloop.run(_profile(scheme, seconds))
    files, own, whole, total = add_up(collapsed)
    console = Console(width=130)
    console.print(
        f"{1e6 * cost:.0f} µs of processor time for a request, {scheme}, {CONNECTIONS} connections; {total} samples"
    )
    for title, counts in (("file", files), ("function itself", own), ("function with what it calls", whole)):
        table = Table(title, "share", "µs")
        for name, count in counts.most_common(MOST):
            table.add_row(name, f"{100 * count / total:.1f} %", f"{1e6 * cost * count / total:.1f}")
        console.print(table)


if __name__ == "__main__":
    main()

"""`python -m bench.profile`: where the microseconds of an API call go.

Two looks, at two proxies under the same load. `perf` samples the processor from the kernel, so that system calls and
libraries get their true shares, whatever Python does meanwhile. `bench.sampled` says which Python functions were under
way. Neither stops the program: py-spy does, and then nearly all that it saw were system calls.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop
from rich.console import Console
from rich.table import Table

from bench.contenders.contender import CALL
from bench.contenders.jmap_proxy import prefix_of, serving
from bench.load.wrk import wrk
from bench.machine import choose_cores
from bench.page import PROFILE, with_block
from bench.stage import stage
from bench.upstream import PATHS
from jmap_proxy.log import configure_logging, parse_levels

if TYPE_CHECKING:
    from bench.stage import Stage

CONNECTIONS = 16
HZ = 2000
MOST = 40
"""Functions that are shown."""

LEAST = 0.005
"""Share of what the page shows."""

PARTS = (
    ("knowing heads again", ("proxy/wire/known_head", "proxy/fast/known_answer")),
    ("the client's connection", ("proxy/listener/",)),
    ("lane and crossing", ("proxy/fast/",)),
    ("whether keys have changed", ("local_keys", "files.py", "proxy/door/")),
    ("exchange: token, what is sent", ("proxy/upstream/exchange", "proxy/upstream/sender", "proxy/upstream/direct")),
    ("the server's connection", ("proxy/upstream/", "unread", "aiohttp/connector", "aiohttp/client_proto")),
    ("TLS", ("ssl.py",)),
    ("counting", ("proxy/passage", "proxy/uses", "status/")),
    ("the loop, and reading from sockets", ("the loop",)),
)
"""What files are for; the first one that fits."""

_SYSTEM_CALL = re.compile(r"\b(?:__\w+_sys|ksys)_(\w+)")


def part_of(name: str) -> str:
    """What a function is for. Pure."""
    path = name.removeprefix("jmap_proxy/")
    return next((part for part, begins in PARTS if path.startswith(begins)), "the rest")


def places(script: str) -> Counter[str]:
    """Samples by system call or library, from what `perf script` tells of them with their stacks. Pure."""
    counts = Counter[str]()
    for sample in script.strip().split("\n\n"):
        frames = [line.strip().partition(" ")[2] for line in sample.splitlines() if line.startswith((" ", "\t"))]
        if not frames:
            continue
        library = frames[0].rpartition("(")[2].rstrip(")")
        if library.startswith("[kernel") or library == "[unknown]":
            called = next((found[1] for frame in frames if (found := _SYSTEM_CALL.search(frame))), "")
            counts[f"kernel: {called or 'anything else'}"] += 1
        else:
            counts[Path(library).name] += 1
    return counts


def add_up(collapsed: str) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Samples by part, by function itself, by function with what it calls. Pure."""
    parts, own, whole = Counter[str](), Counter[str](), Counter[str]()
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        names, number = stack.split(";") if stack else ["the loop"], int(count)
        own[names[-1]] += number
        parts[part_of(names[-1])] += number
        for name in set(names):
            whole[name] += number
    return parts, own, whole


async def _perf(pid: int, seconds: int, to: Path) -> str:
    record = ["record", "--pid", str(pid), "--event", "cpu-clock", "--freq", str(HZ), "--call-graph", "fp"]
    await _run("perf", *record, "--output", str(to), "--", "sleep", str(seconds))
    return await _run("perf", "script", "--input", str(to), "--fields", "comm,ip,sym,dso")


async def _run(*argv: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    out, said = await process.communicate()
    if process.returncode:
        raise click.ClickException(said.decode())
    return out.decode(errors="replace")


async def _profile(ready: Stage, scheme: str, seconds: int) -> tuple[float, str, str]:
    """Seconds of processor time for a call, what perf tells, and what Python did."""
    home, stacks = ready.homes[scheme], ready.folder / "stacks"
    path = prefix_of(ready.upstream.origin(scheme)) + PATHS["api"]
    async with serving(home, ready.cores.proxy, ready.folder / "plain") as (process, origin):
        load = ready.cores.load, origin + path, home.key, CONNECTIONS
        await wrk(*load, 1, body=CALL)
        before = process.cpu_seconds()
        calm = await wrk(*load, seconds, body=CALL)
        cost = (process.cpu_seconds() - before) / calm.requests
        loading = asyncio.create_task(wrk(*load, seconds + 2, body=CALL))
        script = await _perf(process.pid, seconds, ready.folder / "perf")
        await loading
    sampled = "bench.sampled", str(stacks)
    async with serving(home, ready.cores.proxy, ready.folder / "sampled", program=sampled) as (_, origin):
        await wrk(ready.cores.load, origin + path, home.key, CONNECTIONS, 2 * seconds, body=CALL)
    return cost, script, stacks.read_text()


async def _with_stage(scheme: str, seconds: int) -> tuple[float, str, str]:
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.load})
    async with stage(cores) as ready:
        return await _profile(ready, scheme, seconds)


def profile_lines(cost: float, by_place: Counter[str], parts: Counter[str]) -> list[str]:
    """What the page shows of it. Pure."""
    lines = [f"{1e6 * cost:.0f} µs of processor time a call."]
    for title, counts in (("system call, or library", by_place), ("part, with its system calls", parts)):
        lines += ["", f"| {title} | share | µs |", "|---|---|---|"]
        for name, count in counts.most_common():
            share = count / counts.total()
            if share >= LEAST:
                lines.append(f"| {name} | {100 * share:.0f} % | {1e6 * cost * share:.1f} |")
    return lines


@click.command()
@click.option("--scheme", type=click.Choice(["http", "https"]), default="http", show_default=True)
@click.option("--seconds", default=5, show_default=True)
@click.option("--page", type=click.Path(path_type=Path, exists=True), help="Write the shares into this page too.")
def main(scheme: str, seconds: int, page: Path | None) -> None:
    """Show where the time of API calls goes, with 16 connections."""
    configure_logging(parse_levels("warning", "warning"))
    cost, script, collapsed = uvloop.run(_with_stage(scheme, seconds))
    by_place, (parts, own, whole) = places(script), add_up(collapsed)
    console, total = Console(width=130), own.total()
    console.print(f"{1e6 * cost:.0f} µs of processor time for a call, {scheme}, {CONNECTIONS} connections")
    for title, counts, samples in (
        ("system call or library, by perf", by_place, by_place.total()),
        ("part, with its system calls", parts, total),
        ("function itself, with its system calls", own, total),
        ("function with what it calls", whole, total),
    ):
        table = Table(title, "share", "µs")
        for name, count in counts.most_common(MOST):
            table.add_row(name, f"{100 * count / samples:.1f} %", f"{1e6 * cost * count / samples:.1f}")
        console.print(table, f"{samples} samples")
    if page is not None:
        page.write_text(with_block(page.read_text(), PROFILE, profile_lines(cost, by_place, parts)))


if __name__ == "__main__":
    main()

"""`python -m bench`: measure, print a table, write JSON, draw a plot."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop
from rich.console import Console

from bench.machine import choose_cores, describe, raise_file_limit, versions
from bench.page import MEASURED, measured_lines, with_block
from bench.plot import svg_of
from bench.results import Results
from bench.scenarios import accounts, api, events, expiry, session, start, token, transfer, websocket, workers
from bench.scenarios.plan import Plan
from bench.stage import stage
from bench.table import table_of
from jmap_proxy.log import configure_logging, parse_levels

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.machine import Cores
    from bench.stage import Stage

    Scenario = Callable[[Stage, Results, Plan], Awaitable[None]]

DEFAULT = Plan()

SCENARIOS: dict[str, Scenario] = {
    "api": api.run,
    "transfer": transfer.run,
    "session": session.run,
    "events": events.run,
    "websocket": websocket.run,
    "expiry": expiry.run,
    "start": start.run,
    "accounts": accounts.run,
    "token": token.run,
    "workers": workers.run,
}


async def _measure(cores: Cores, names: Sequence[str], plan: Plan, console: Console) -> Results:
    results = Results()
    async with stage(cores) as ready:
        for name in names:
            since = time.monotonic()
            await SCENARIOS[name](ready, results, plan)
            console.print(f"{name}: {time.monotonic() - since:.0f} s", style="dim")
    return results


@click.command()
@click.option("--only", default="", help=f"Some of {', '.join(SCENARIOS)}, with commas; all if it is empty.")
@click.option("--rounds", default=DEFAULT.rounds, show_default=True, help="In each, every proxy has its turn.")
@click.option("--seconds", default=DEFAULT.seconds, show_default=True, help="Of each turn under load.")
@click.option("--out", default=".bench", show_default=True, type=click.Path(path_type=Path), help="Where files go.")
@click.option(
    "--page", type=click.Path(path_type=Path, exists=True), help="Write what was measured into this page too."
)
def main(only: str, rounds: int, seconds: float, out: Path, page: Path | None) -> None:
    """Compare jmap-proxy with other proxies on the same core."""
    configure_logging(parse_levels("warning", "warning"))
    names = only.split(",") if only else list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise click.UsageError(f"there is no {', '.join(unknown)}; there is {', '.join(SCENARIOS)}")
    plan, cores, console, before = Plan(rounds, seconds), choose_cores(), Console(width=180), describe()
    os.sched_setaffinity(0, {cores.load})
    raise_file_limit()
    known = versions()
    results = uvloop.run(_measure(cores, names, plan, console))
    console.print(table_of(results))
    console.print(", ".join(f"{name} {each}" for name, each in {**known, **before}.items()), style="dim")
    out.mkdir(parents=True, exist_ok=True)
    told = {"machine": before, "versions": known, "results": results.as_json()}
    (out / "performance.json").write_text(json.dumps(told, indent=1) + "\n")
    (out / "performance.svg").write_text(svg_of(results))
    if page is not None:
        page.write_text(with_block(page.read_text(), MEASURED, measured_lines(results, {**known, **before})))
        page.with_suffix(".svg").write_text(svg_of(results))


if __name__ == "__main__":
    main()

"""Asking for a valid token, against awaiting a coroutine that does nothing. In this process; nanoseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.contenders.jmap_proxy import NAME
from bench.results import OURS, RATIO
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.config import load_config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

TIMES = 200_000
WORK = "ensure_valid_token() / empty coroutine"


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure both in turns."""
    home = stage.homes["http"]
    async with Assembly(load_config(home.config), home.state) as assembly:
        refresher = await assembly.refresher(NAME)
        for _ in range(plan.rounds):
            least = await _time(_empty)
            results.add(WORK, RATIO, OURS, await _time(refresher.ensure_valid_token) / least)


async def _empty() -> str:
    return ""


async def _time(ask: Callable[[], Awaitable[str]]) -> float:
    since = time.perf_counter()
    for _ in range(TIMES):
        await ask()
    return time.perf_counter() - since

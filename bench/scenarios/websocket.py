"""WebSocket echo: 16 connections, each with one message of 100 bytes under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.backend import backend
from bench.load.echo import echo
from bench.results import COST, RATE
from bench.stage import SLOW

if TYPE_CHECKING:
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

CONNECTIONS = 16
WORK = f"WebSocket echo, http, {CONNECTIONS} connections"


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure messages per second, and the processor time of a message."""
    async with backend(stage.upstream.backend), stage.proxies("http", without={SLOW}) as proxies:
        for turn in range(plan.rounds + 1):
            for proxy in proxies:
                before = proxy.process.cpu_seconds()
                count, took = await echo(proxy.url("websocket"), proxy.key, CONNECTIONS, plan.seconds / 2)
                if turn:
                    results.add(WORK, RATE, proxy.name, count / took)
                    results.add(WORK, COST, proxy.name, (proxy.process.cpu_seconds() - before) / count)

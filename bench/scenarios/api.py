"""API calls of 6.8 kB and Session fetches, with 1, 16 and 256 connections, by http and by TLS to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contenders.contender import CALL
from bench.load.wrk import wrk
from bench.results import COST, P50, P99, RATE
from bench.stage import SLOW

if TYPE_CHECKING:
    from bench.contenders.contender import Running
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

CONNECTIONS = (1, 16, 256)

SLOW_AT = 16
"""Connections at which the slow one is measured too."""


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure requests per second, p50, p99 and processor time, which a busy machine changes little."""
    for scheme in ("http", "https"):
        async with stage.proxies(scheme) as proxies:
            for proxy in proxies:  # warm: connections, caches, compiled code
                await wrk(stage.cores.load, proxy.url("api"), proxy.key, 16, 1, body=CALL)
            for _ in range(plan.rounds):
                for connections in CONNECTIONS:
                    for proxy in proxies:
                        if proxy.name != SLOW or connections == SLOW_AT:
                            await _call(stage, results, plan, proxy, scheme, connections)


async def _call(stage: Stage, results: Results, plan: Plan, proxy: Running, scheme: str, connections: int) -> None:
    before = proxy.process.cpu_seconds()
    load = await wrk(stage.cores.load, proxy.url("api"), proxy.key, connections, plan.seconds, body=CALL)
    work = f"API call, {scheme}, {connections} connection{'s' if connections > 1 else ''}"
    cost = (proxy.process.cpu_seconds() - before) / load.requests
    for measure, value in ((RATE, load.rate), (P50, load.p50), (P99, load.p99), (COST, cost)):
        results.add(work, measure, proxy.name, value)

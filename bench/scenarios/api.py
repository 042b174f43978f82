"""API calls of 6.8 kB with 1, 16 and 256 connections, by http and by TLS to the server, and two unkind kinds of them.

Calls and answers differ in length from one to the next. Unkind to jmap-proxy, which knows heads again: those that are
never the same twice, and those that come in two pieces.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench.contenders.contender import CALL
from bench.load.two_writes import call_in_two_writes
from bench.load.wrk import wrk
from bench.results import COST, P50, P99, RATE
from bench.stage import SLOW

if TYPE_CHECKING:
    from bench.contenders.contender import Running
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

CONNECTIONS = (1, 16, 256)

MANY = 256
"""Connections from which on it counts whether those to the server are there: each turn begins with a second unseen."""

NORMAL = 16
"""Connections at which the slow one is measured too, and the unkind calls are."""

NEW = f"API call, each head new, http, {NORMAL} connections"
TWO = f"API call in two writes, http, {NORMAL} connections"


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure requests per second, p50, p99 and processor time, which a busy machine changes little."""
    for scheme in ("http", "https"):
        async with stage.proxies(scheme) as proxies:
            for proxy in proxies:  # warm: connections, caches, compiled code
                await wrk(stage.cores.load, proxy.url("api"), proxy.key, NORMAL, 1, body=CALL)
            for _ in range(plan.rounds):
                for connections in CONNECTIONS:
                    work = f"API call, {scheme}, {connections} connection{'s' if connections > 1 else ''}"
                    for proxy in proxies:
                        if proxy.name != SLOW or connections == NORMAL:
                            await _call(stage, results, plan, proxy, work, connections)
                if scheme == "http":
                    await _call_unkindly(stage, results, plan, [each for each in proxies if each.name != SLOW])


async def _call(
    stage: Stage, results: Results, plan: Plan, proxy: Running, work: str, connections: int, *, is_new: bool = False
) -> None:
    core, url = stage.cores.load, proxy.url("api")
    if connections >= MANY:
        await wrk(core, url, proxy.key, connections, 1, body=CALL)
    before = proxy.process.cpu_seconds()
    load = await wrk(core, url, proxy.key, connections, plan.seconds, body=CALL, is_new=is_new)
    cost = (proxy.process.cpu_seconds() - before) / load.requests
    for measure, value in ((RATE, load.rate), (P50, load.p50), (P99, load.p99), (COST, cost)):
        results.add(work, measure, proxy.name, value)


async def _call_unkindly(stage: Stage, results: Results, plan: Plan, proxies: list[Running]) -> None:
    for proxy in proxies:
        await _call(stage, results, plan, proxy, NEW, NORMAL, is_new=True)
    for proxy in proxies:
        before = proxy.process.cpu_seconds()
        url, seconds = proxy.url("api"), plan.seconds / 2
        count = await asyncio.to_thread(call_in_two_writes, url, proxy.key, CALL, NORMAL, seconds)
        results.add(TWO, COST, proxy.name, (proxy.process.cpu_seconds() - before) / count)

"""The Session: jmap-proxy asks the server for it each time and replaces its URLs; the others pass it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.load.wrk import wrk
from bench.results import COST, P99, RATE
from bench.stage import SLOW

if TYPE_CHECKING:
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

CONNECTIONS = 16
WORK = f"Session, https, {CONNECTIONS} connections"


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure requests per second."""
    async with stage.proxies("https", without={SLOW}) as proxies:
        for turn in range(plan.rounds + 1):
            for proxy in proxies:
                before = proxy.process.cpu_seconds()
                load = await wrk(stage.cores.load, proxy.url("session"), proxy.key, CONNECTIONS, plan.seconds / 2)
                if turn:
                    results.add(WORK, RATE, proxy.name, load.rate)
                    results.add(WORK, P99, proxy.name, load.p99)
                    results.add(WORK, COST, proxy.name, (proxy.process.cpu_seconds() - before) / load.requests)

"""256 MB down and up, by TLS to the server, one at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench.load.transfer import download, upload
from bench.results import COST, THROUGHPUT
from bench.stage import SLOW

if TYPE_CHECKING:
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure bytes per second, and the processor time of each transfer."""
    async with stage.proxies("https", without={SLOW}) as proxies:
        for turn in range(plan.rounds + 1):
            for what, transfer in (("download", download), ("upload", upload)):
                for proxy in proxies:
                    before = proxy.process.cpu_seconds()
                    seconds = await asyncio.to_thread(transfer, proxy.url(what), proxy.key, plan.blob)
                    cost = proxy.process.cpu_seconds() - before
                    if turn:  # the first round warms up
                        work = f"{what}, {plan.blob >> 20} MB, https"
                        results.add(work, THROUGHPUT, proxy.name, plan.blob / seconds / 1e6)
                        results.add(work, COST, proxy.name, cost)

"""2,000 idle event streams: what each costs in memory, and how long it takes until an event is on all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench.backend import backend
from bench.load.streams import Listeners
from bench.results import DELAY, MEMORY
from bench.stage import SLOW

if TYPE_CHECKING:
    from bench.backend import Backend
    from bench.contenders.contender import Running
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

PATIENCE = 60.0
SETTLE = 1.0
"""Seconds for what the opening of the streams has left behind to be freed."""


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure memory and delay. One proxy at a time, each started anew, since memory once taken is not given back."""
    async with backend(stage.upstream.backend) as events:
        for contender in stage.contenders:
            if contender.name == SLOW:  # a tenth of the streams would take it longer than all others together
                continue
            async with stage.one(contender, "http") as proxy, asyncio.timeout(PATIENCE):
                await _listen(proxy, events, results, plan)


async def _listen(proxy: Running, events: Backend, results: Results, plan: Plan) -> None:
    listeners = Listeners(proxy.url("events"), proxy.key)
    before = proxy.process.memory()
    try:
        await listeners.open(plan.streams)
        await asyncio.sleep(SETTLE)
        work = f"event stream, {plan.streams:,} idle, http"
        results.add(work, MEMORY, proxy.name, (proxy.process.memory() - before) / plan.streams / 1024)
        for _ in range(plan.rounds):
            arrived = asyncio.create_task(listeners.next_event(plan.streams))
            await asyncio.sleep(0.05)
            results.add(work, DELAY, proxy.name, -events.send_event() + await arrived)
    finally:
        listeners.close()

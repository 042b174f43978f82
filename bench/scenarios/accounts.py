"""What a request costs in a proxy of 1,000 accounts, against one of one account."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from bench.accounts import running
from bench.results import OURS, RATIO
from jmap_proxy.sandbox import MailServer

if TYPE_CHECKING:
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

SETTLE = 5.0
"""Seconds after the start, in which the token files are looked at for the first time."""


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure the processor time of requests, in rounds that take turns."""
    work = f"processor time of a request, {plan.accounts:,} accounts / 1"
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(MailServer(lambda _token: "demo"))
        one, many = [
            await stack.enter_async_context(running(stage.folder / f"accounts-{number}", mail.base_url, number))
            for number in (1, plan.accounts)
        ]
        await asyncio.sleep(SETTLE)
        for turn in range(plan.rounds + 1):
            for chain in (one, many):
                await chain.measure(plan.seconds)
                mail.requests.clear()
            if turn:
                results.add(work, RATIO, OURS, many.costs[-1] / one.costs[-1])

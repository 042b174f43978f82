"""From the start of the program to the first answer, and what it holds in memory then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.results import MEMORY, START

if TYPE_CHECKING:
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Start each proxy anew in each round."""
    for _ in range(plan.rounds):
        for contender in stage.contenders:
            async with stage.one(contender, "https") as proxy:
                results.add("cold start to first answer, https", START, proxy.name, proxy.first_answer)
                results.add("idle", MEMORY, proxy.name, proxy.process.memory() / 1024)

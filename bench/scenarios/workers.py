"""What two workers do more than one process. Each has but a part of a core, so that load and server are not the limit.

What is measured is whether workers hold each other up. That they share caches and memory is not seen where they take
turns on one core. Where the kernel cannot part a core, or we may not ask it to, nothing is measured.
"""

from __future__ import annotations

import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.contenders.contender import CALL
from bench.contenders.jmap_proxy import prefix_of, serving
from bench.load.wrk import wrk
from bench.processes import children
from bench.quota import limited
from bench.results import GAIN, OURS
from bench.upstream import PATHS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.processes import Pinned
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

SHARE = 0.25
"""Of a core for each process that serves: two of them leave half of the proxies' core idle, and do half of what one
does with all of it, which the load can well ask for."""

WORKERS = 2
CONNECTIONS = 64
"""So many that each worker gets some of them, however the kernel spreads them."""

WORK = f"{WORKERS} workers / 1, each with {SHARE:.0%} of a core"

USED = 0.9
"""Of their shares that all must have used for a round to count: else something else was the limit."""

TRIES = 3
"""For each round."""

log = logging.getLogger("bench")


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure requests per second, in rounds that take turns."""
    async with AsyncExitStack() as stack:
        try:
            one, more = [await stack.enter_async_context(_limited(stage, number)) for number in (1, WORKERS)]
        except OSError as error:
            log.warning("workers: not measured, no core can be parted here: %s", error)
            return
        for served in (one, more):  # warm: connections, caches, compiled code
            await served.rate(stage, plan)
        counted = 0
        for _ in range(TRIES * plan.rounds):
            if counted == plan.rounds:
                break
            least, most = await one.rate(stage, plan), await more.rate(stage, plan)
            if least and most:
                counted += 1
                results.add(WORK, GAIN, OURS, most / least)
        if counted < plan.rounds:
            log.warning("workers: in %d of %d rounds something else was the limit", plan.rounds - counted, plan.rounds)


@dataclass(frozen=True, slots=True)
class _Served:
    """So many workers, which answer at a URL."""

    workers: int
    process: Pinned
    url: str

    async def rate(self, stage: Stage, plan: Plan) -> float | None:
        """Requests per second; None if they had time left."""
        before, since = self.process.cpu_seconds(), time.perf_counter()
        load = await wrk(stage.cores.load, self.url, stage.homes["http"].key, CONNECTIONS, plan.seconds, body=CALL)
        used = (self.process.cpu_seconds() - before) / (time.perf_counter() - since)
        return load.rate if used >= USED * SHARE * self.workers else None


@asynccontextmanager
async def _limited(stage: Stage, workers: int) -> AsyncIterator[_Served]:
    """So many workers, while the context is open. Raises OSError: they cannot be limited."""
    home, server, options = stage.homes["http"], stage.upstream.http, ("--workers", str(workers))
    async with serving(home, stage.cores.proxy, stage.folder / f"workers-{workers}", *options) as (process, origin):
        serve = children(process.pid) or [process.pid]  # one process needs no supervisor
        if len(serve) != workers:
            raise RuntimeError(f"{len(serve)} processes serve, not {workers}")
        with limited("jmap-proxy-bench", serve, SHARE):
            yield _Served(workers, process, origin + prefix_of(server) + PATHS["api"])

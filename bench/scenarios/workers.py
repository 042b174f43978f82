"""What two workers do more than one process. Each has but a part of a core, so that load and server are not the limit.

What is measured is whether workers hold each other up. That they share caches and memory is not seen where they take
turns on one core. Where the kernel cannot part a core, or we may not ask it to, nothing is measured.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from bench.contenders.contender import CALL
from bench.contenders.jmap_proxy import serving
from bench.load.wrk import wrk
from bench.processes import children
from bench.quota import limited
from bench.results import GAIN, OURS
from bench.upstream import PATHS
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.session.endpoint import local_prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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

log = logging.getLogger("bench")


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure requests per second, in rounds that take turns."""
    home = stage.homes["http"]
    async with AsyncExitStack() as stack:
        try:
            urls = [await stack.enter_async_context(_limited(stage, number)) for number in (1, WORKERS)]
        except OSError as error:
            log.warning("workers: not measured, no core can be parted here: %s", error)
            return
        for turn in range(plan.rounds + 1):
            one, more = [
                await wrk(stage.cores.load, url, home.key, CONNECTIONS, plan.seconds, body=CALL) for url in urls
            ]
            if turn:  # the first round warms up
                results.add(WORK, GAIN, OURS, more.rate / one.rate)


@asynccontextmanager
async def _limited(stage: Stage, workers: int) -> AsyncIterator[str]:
    """Where so many workers answer API calls, while the context is open. Raises OSError: they cannot be limited."""
    home, server, options = stage.homes["http"], stage.upstream.http, ("--workers", str(workers))
    async with serving(home, stage.cores.proxy, stage.folder / f"workers-{workers}", *options) as (process, origin):
        serve = children(process.pid) or [process.pid]  # one process needs no supervisor
        if len(serve) != workers:
            raise RuntimeError(f"{len(serve)} processes serve, not {workers}")
        with limited("jmap-proxy-bench", serve, SHARE):
            yield f"{origin}/{local_prefix(parse_origin(server))}{PATHS['api']}"

"""500 callers when the token has just expired: how often the provider is asked, and when the last one goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import aiohttp

from bench.contenders.contender import CALL
from bench.contenders.jmap_proxy import serving, sign_in
from bench.results import COUNT, DELAY, OURS, RATIO
from bench.upstream import PATHS
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.session.endpoint import local_prefix
from jmap_proxy.sandbox import Fault, IdentityProvider, ProviderSettings

if TYPE_CHECKING:
    from bench.results import Results
    from bench.scenarios.plan import Plan
    from bench.stage import Stage

CALLERS = 500
LIFE = 8
"""Seconds of a token's life. Nobody asks for a while before it ends, so that all of them meet an expired one."""

ANSWER = 0.5
"""Seconds that the provider takes for its answer."""

MOST_ROUNDS = 3
"""Each takes the life of a token."""


async def run(stage: Stage, results: Results, plan: Plan) -> None:
    """Measure the last answer against what cannot be avoided: the provider's answer and a batch with a good token."""
    work = f"{CALLERS} callers at expiry"
    async with contextlib.AsyncExitStack() as stack:
        provider = await stack.enter_async_context(IdentityProvider(settings=ProviderSettings(access_token_life=LIFE)))
        folder, server = stage.folder / "expiry", stage.upstream.http
        home = await sign_in(folder, server, provider.issuer, stage.upstream.ca_file)
        _, origin = await stack.enter_async_context(serving(home, stage.cores.proxy, folder / "log"))
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {home.key}"}
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
        url = f"{origin}/{local_prefix(parse_origin(server))}{PATHS['api']}"
        for turn in range(min(plan.rounds, MOST_ROUNDS) + 1):
            provider.faults.add("token", Fault(delay=ANSWER))
            before = len(provider.token_requests)
            last = await _batch(client, url)
            asked = len(provider.token_requests) - before
            issued = time.monotonic()
            normal = await _batch(client, url)
            if turn:  # in the first one all connections are new
                results.add(work, COUNT, OURS, asked)
                results.add(work, DELAY, OURS, last)
                results.add(
                    f"{work}: last answer / (provider's answer + a batch)", RATIO, OURS, last / (ANSWER + normal)
                )
            provider.faults.clear()
            await asyncio.sleep(max(0.0, issued + LIFE - time.monotonic()))


async def _batch(client: aiohttp.ClientSession, url: str) -> float:
    """Seconds until the last of all has its answer."""
    since = time.perf_counter()
    await asyncio.gather(*(_call(client, url) for _ in range(CALLERS)))
    return time.perf_counter() - since


async def _call(client: aiohttp.ClientSession, url: str) -> None:
    async with client.post(url, data=CALL) as answer:
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise RuntimeError(f"status {answer.status}: {await answer.text()}")
        await answer.read()

"""A proxy for years: hundreds of token generations under load, and nothing that grows."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli.options import run
from jmap_proxy.sandbox import IdentityProvider, MailServer
from tests.endurance import SHARE
from tests.endurance.helper import Helper
from tests.endurance.load import Load
from tests.support.world import World

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = round(200_000 * SHARE)
GENERATIONS = round(500 * SHARE)
WARM_UP = max(5_000, round(20_000 * SHARE))
"""Requests before anything is measured."""

CLIENTS = 32
BATCH = 250
"""Requests that a token serves before it is ended; while it is renewed there are more, the faster the proxy is."""

MOST_ROUNDS = 10
"""Of requests, until there have been so many generations too."""

LIFE = 3600.0
"""Seconds that a token lives by the proxy's clock; the provider's own does not end it."""

STEPS = (f"step {LIFE - 120}", f"step {LIFE + 1}", f"step {LIFE - 120}", f"step {LIFE + 1}", "revoke")
"""What ends a token in turn: a background refresh, one that all wait for, and a server that refuses it."""

QUIET = 60.0
"""Seconds in which a proxy that nobody asks gives up its connections to the server."""

ALLOWED_GROWTH = 5 << 20
ALLOWED_OBJECTS = 2_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Generations:
    """The provider's judgement of tokens, and how many of them have been seen."""

    def __init__(self, provider: IdentityProvider) -> None:
        self._provider = provider
        self._seen = set[str]()

    def __call__(self, token: str) -> str | None:
        """See `IdentityProvider.check`."""
        user = self._provider.check(token)
        if user:
            self._seen.add(token)
        return user

    def __len__(self) -> int:
        return len(self._seen)


@dataclass
class Age:
    """Ends a token whenever its successor has been at work for a while, but not in the middle of a refresh.

    There time would leap by a token's whole life, which no real one does within milliseconds.
    """

    proxy: Helper
    provider: IdentityProvider
    mail: MailServer
    generations: Generations
    steps: int = 0
    next_at: int = BATCH
    due: asyncio.Event = field(default_factory=asyncio.Event)
    one_question: asyncio.Lock = field(default_factory=asyncio.Lock)

    def pass_on(self, done: int) -> None:
        """So many requests are done."""
        if done >= self.next_at and len(self.generations) > self.steps:
            self.next_at, self.steps = done + BATCH, len(self.generations)
            self.mail.requests.clear()
            self.due.set()

    async def run(self) -> None:
        """End tokens for ever; to be cancelled."""
        while await self.due.wait():
            self.due.clear()
            assert await self.ask("rest") == "at rest"
            step = STEPS[self.steps % len(STEPS)]
            if step == "revoke":
                self.provider.revoke_access_tokens()
            else:
                self.proxy.tell(step)

    async def ask(self, question: str) -> str:
        """What the proxy's observer says."""
        async with self.one_question:
            self.proxy.tell(question)
            return await self.proxy.line()

    async def holdings(self) -> dict[str, int]:
        """What the proxy holds now."""
        told: dict[str, int] = json.loads(await self.ask("count"))
        return told


async def quiet_holdings(age: Age, idle: dict[str, int]) -> dict[str, int]:
    """What the proxy holds when it has come to rest, as it was before the first request."""
    until = time.monotonic() + QUIET
    while True:
        now = await age.holdings()
        if (now["tasks"] <= idle["tasks"] and now["files"] <= idle["files"]) or time.monotonic() > until:
            return now
        await asyncio.sleep(0.5)


async def soak(folder: Path) -> None:
    """The test, on a fast event loop."""
    async with IdentityProvider() as provider:
        generations = Generations(provider)
        async with MailServer(generations) as mail:
            world = World(folder, provider, mail)
            provider.settings.access_token_life, provider.settings.expires_in = 1e9, LIFE
            key = (await world.sign_in()).local_key
            proxy = await Helper.launch("observed_proxy", str(world.config), env=world.env)
            try:
                await soak_proxy(key, Age(proxy, provider, mail, generations))
            finally:
                await proxy.end_all()


async def soak_proxy(key: str, age: Age) -> None:
    """Let clients ask a running proxy, and look before and after."""
    load = Load(await age.proxy.line(), key, age.pass_on)
    idle = await age.holdings()
    ageing = asyncio.create_task(age.run())
    await load.learn()
    await load.run(CLIENTS, WARM_UP)
    before, first = await quiet_holdings(age, idle), len(age.generations)
    await load.run(CLIENTS, REQUESTS)
    for _ in range(MOST_ROUNDS):
        if len(age.generations) - first < GENERATIONS:
            await load.run(CLIENTS, REQUESTS // 10)
    after = await quiet_holdings(age, idle)
    ageing.cancel()
    assert load.failures == {}
    assert len(age.generations) - first >= GENERATIONS
    assert {request.outcome for request in age.provider.token_requests} == {"ok"}
    assert (after["tasks"], after["files"]) == (before["tasks"], before["files"]) == (idle["tasks"], idle["files"])
    assert after["objects"] - before["objects"] < ALLOWED_OBJECTS
    assert after["memory"] - before["memory"] < ALLOWED_GROWTH


@pytest.mark.timeout(420)
def test_soak(tmp_path: Path) -> None:
    """200,000 requests over 500 generations: no failure, no more memory, tasks or files than after the warm-up."""
    run(soak(tmp_path))

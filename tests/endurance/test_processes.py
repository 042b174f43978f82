"""Several processes on one store: proxies, commands, and some that hang or die with the lock in their hand."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest

from jmap_proxy.sandbox import Fault
from tests.endurance import SHARE
from tests.endurance.helper import Helper
from tests.support.chain import CALL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.program import Program
    from tests.support.world import World

DURATION = max(10.0, 60.0 * SHARE)
TOKEN_LIFE = 3.0
PROXIES = 2
LOOPS = 4
CALLERS = 4
"""Clients of each proxy."""

CLIENT_PATIENCE = 5.0
"""Seconds after which mail clients give up (measured: mujmap, himalaya)."""

LAST_SECONDS = 8.0
"""Of the life of a token in whose renewal a process dies."""

HANG = 19.0
"""Seconds of the life of a token in whose renewal a process hangs: longer than it waits for the provider."""


class Proxy:
    """A running `serve` and a client of it."""

    def __init__(self, program: Program, origin: str, client: aiohttp.ClientSession) -> None:
        self.program = program
        self._client = client
        self._origin = origin
        self._api = ""

    async def warm_up(self) -> None:
        """Take the Session, as a client does first."""
        async with self._client.get(f"{self._origin}/.well-known/jmap") as response:
            self._api = (await response.json())["apiUrl"]

    async def call(self) -> tuple[int, str]:
        """One API request: the status and Retry-After; a client that waits too long raises TimeoutError."""
        async with self._client.post(self._api, json=CALL) as response:
            await response.read()
            return response.status, response.headers.get("Retry-After", "")

    async def calls_until(self, status: int) -> Counter[int]:
        """Ask until this status comes: how often which status came."""
        seen = Counter[int]()
        while not seen[status]:
            seen[(await self.call())[0]] += 1
        return seen


@asynccontextmanager
async def proxies(world: World, key: str, number: int) -> AsyncIterator[list[Proxy]]:
    """So many proxies on the world's store, each with a client whose Session is known."""
    world.config.write_text(world.config.read_text().replace(f"127.0.0.1:{world.admin_port}", ""))
    timeout = aiohttp.ClientTimeout(total=CLIENT_PATIENCE)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}, timeout=timeout) as client:
        started = []
        for _ in range(number):
            program = await world.start("serve")
            started.append(Proxy(program, (await program.line()).removeprefix("listening on "), client))
        for proxy in started:
            await proxy.warm_up()
        yield started


@asynccontextmanager
async def token_loops(world: World, number: int) -> AsyncIterator[list[Helper]]:
    """So many processes that run `token` again and again."""
    loops = [
        await Helper.launch("token_loop", "alice", "--config", str(world.config), env=world.env) for _ in range(number)
    ]
    try:
        yield loops
    finally:
        for loop in loops:
            await loop.end_all()


async def keep_calling(proxy: Proxy, until: float) -> Counter[int]:
    """Ask without a pause until then (monotonic seconds): how often which status came."""
    seen = Counter[int]()
    while time.monotonic() < until:
        seen[(await proxy.call())[0]] += 1
    return seen


@pytest.mark.timeout(180)
async def test_six_processes_on_one_store(world: World) -> None:
    """2 proxies and 4 `token` loops, a minute long, 3 s tokens, a strict provider: one token request a generation."""
    world.idp.settings.access_token_life = TOKEN_LIFE
    key = (await world.sign_in()).local_key
    async with token_loops(world, LOOPS) as loops, proxies(world, key, PROXIES) as served:
        until = time.monotonic() + DURATION
        seen = await asyncio.gather(*(keep_calling(proxy, until) for proxy in served for _ in range(CALLERS)))
        for loop in loops:
            loop.hang_up()
        told = [json.loads((await loop.end()).out) for loop in loops]
        logs = [(await proxy.program.end(signal.SIGTERM)).err for proxy in served]
    assert set(sum(seen, Counter[int]())) == {200}
    assert [loop["bad"] for loop in told] == [[]] * LOOPS
    assert min(loop["good"] for loop in told) > DURATION / TOKEN_LIFE
    asked = outcomes(world)
    assert set(asked) == {"ok"}
    assert len(asked) == (await world.stored()).generation - 1
    assert len(asked) > DURATION / TOKEN_LIFE
    assert 0 < sum(log.count("token refreshed") for log in logs) < len(asked)


async def hand_down_an_old_token(world: World, seconds: float) -> None:
    """Store a generation that has so much life left, as another process would."""
    tokens, now = await world.stored(), time.time()
    old = msgspec.structs.replace(
        tokens,
        generation=tokens.generation + 1,
        obtained_at=now - 3600 + seconds,
        expires_at=now + seconds,
    )
    store = world.assembly().store("alice")
    async with store.lock():
        await store.save(old)


def outcomes(world: World) -> list[str]:
    """What the provider answered to requests for a refresh."""
    return [request.outcome for request in world.idp.token_requests if request.grant_type == "refresh_token"]


async def strike(world: World, proxy: Proxy, number: signal.Signals) -> asyncio.Event:
    """Let the proxy ask for new tokens, and send it a signal while the provider holds the answer.

    Returns:
        To be set for the answer to be given.
    """
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    calls = asyncio.create_task(keep_calling(proxy, time.monotonic() + CLIENT_PATIENCE))
    await fault.entered.wait()
    proxy.program.process.send_signal(number)
    calls.cancel()
    assert fault.hold is not None
    return fault.hold


async def test_a_holder_that_hangs(world: World) -> None:
    """Others serve the living token, then say 503 in time; when the holder goes on, all is well.

    Nobody asks twice: the provider answers while the holder stands still, so that would have cost the sign-in. The
    holder finds that answer although the time for it is over.
    """
    key = (await world.sign_in()).local_key
    async with proxies(world, key, 2) as (holder, other):
        await hand_down_an_old_token(world, HANG)
        answer = await strike(world, holder, signal.SIGSTOP)
        answer.set()
        seen = await other.calls_until(503)
        assert seen.keys() == {200, 503}
        status, retry_after = await other.call()
        assert (status, retry_after.isdigit()) == (503, True)
        assert outcomes(world) == ["ok"]
        holder.program.process.send_signal(signal.SIGCONT)
        await other.calls_until(200)
        assert (await holder.call())[0] == 200
        assert outcomes(world) == ["ok"]


async def test_a_holder_that_dies(world: World) -> None:
    """Its lock is free at once: the other one serves the living token to its end, and then renews it.

    Not before, since the answer to the dead one may be lost.
    """
    key = (await world.sign_in()).local_key
    async with proxies(world, key, 2) as (holder, other):
        await hand_down_an_old_token(world, LAST_SECONDS)
        answer = await strike(world, holder, signal.SIGKILL)
        await holder.program.end()
        answer.set()
        seen = Counter[int]()
        while "ok" not in outcomes(world):
            seen[(await other.call())[0]] += 1
        assert seen.keys() == {200}
        assert seen[200] > 1
        assert outcomes(world) == ["gone", "ok"]

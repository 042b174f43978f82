"""kill -9 at random moments, hundreds of times, of a program that refreshes, encrypts anew or signs in."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest

from jmap_proxy.sandbox import Fault, browse
from tests.endurance import SHARE
from tests.endurance.lives import Lives, lives_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jmap_proxy.sandbox.token_endpoint import TokenRequest
    from jmap_proxy.tokens import TokenSet
    from tests.endurance.lives import Life
    from tests.support.world import World

KILLS = round(300 * SHARE)
REKEYS = 30
OTHERS = tuple(f"other-{number}" for number in range(20))
"""Accounts whose tokens are encrypted anew too, which takes a while."""

SIGN_INS = 20
TOKEN_LIFE = 0.3
"""Seconds that a token lives by what the provider says; half of it passes between two refreshes."""


@pytest.fixture
async def lives(world: World) -> AsyncIterator[Lives]:
    """A nursery for the world, which is signed in; its tokens live a moment, and the provider rotates."""
    world.idp.settings.expires_in = TOKEN_LIFE
    await world.sign_in()
    async with lives_in(world) as lives:
        yield lives


@dataclass
class Pace:
    """How fast a life goes on this machine, in seconds.

    Attributes:
        loop: From its beginning to its second generation.
        store: From the provider's answer to the stored generation.
    """

    loop: float
    store: float


async def paced(world: World, lives: Lives) -> Pace:
    """Measure a life that nobody disturbs."""
    generation, stores, ends = (await world.stored()).generation, [], []
    begun = time.monotonic()
    life = await lives.begin_refresh_loop()
    for _ in range(5):
        fault = world.idp.faults.add("token", Fault())
        await fault.entered.wait()
        answered = time.monotonic()
        generation += 1
        await life.line(f"generation {generation}")
        ends.append(time.monotonic())
        stores.append(ends[-1] - answered)
    await life.kill()
    return Pace(ends[1] - begun, statistics.median(stores))


@dataclass
class Toll:
    """What the kills came to.

    Attributes:
        struck: Requests whose process was killed before their answer was stored.
        losses: The reasons that were given.
        needless: Those without an answer that had been sent and never stored.
    """

    struck: list[TokenRequest] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)

    def struck_with(self, outcome: str) -> int:
        """How many of the struck requests the provider answered so."""
        return sum(request.outcome == outcome for request in self.struck)


def refreshes(world: World, refresh_token: str) -> list[TokenRequest]:
    """The requests with this refresh token so far."""
    return [request for request in world.idp.token_requests if request.form.get("refresh_token") == refresh_token]


async def live_and_be_killed(world: World, lives: Lives, pace: Pace, chance: random.Random) -> Life:
    """A life that ends at a random moment.

    Anywhere within two generations, while the provider has been asked and holds the answer, or between the answer and
    the stored generation.
    """
    life = await lives.begin_refresh_loop()
    moment = chance.choice(("anywhere", "asked", "answered"))
    fault = Fault(hold=asyncio.Event() if moment == "asked" else None)
    if moment == "anywhere":
        await life.last_until(asyncio.sleep(chance.uniform(0, pace.loop)))
    else:
        world.idp.faults.add("token", fault)
        await life.last_until(fault.entered.wait())
        await life.last_until(asyncio.sleep(chance.uniform(0, pace.store)))
    await life.kill()
    world.idp.faults.clear()
    if fault.hold is not None:
        fault.hold.set()
    return life


async def kill_again_and_again(world: World, lives: Lives, number: int, seed: int) -> Toll:
    """Kill so many lives; where one finds that the sign-in is lost, there is a new sign-in."""
    chance, toll, pace = random.Random(seed), Toll(), await paced(world, lives)  # noqa: S311 - to be repeatable
    for _ in range(number):
        asked_before = len(world.idp.token_requests)
        life = await live_and_be_killed(world, lives, pace, chance)
        tokens = await world.stored()
        asked = refreshes(world, tokens.refresh_token)
        if life.lost:
            toll.losses.append(life.lost)
            if "ok" not in [request.outcome for request in asked]:
                toll.needless.append(life.lost)
            await world.sign_in()
        else:
            toll.struck += [request for request in asked if request in world.idp.token_requests[asked_before:]]
    return toll


async def lives_on(lives: Lives) -> bool:
    """Whether a life that nobody disturbs gets new tokens."""
    life = await lives.begin_refresh_loop()
    first = int(await life.line("generation "))
    await life.line(f"generation {first + 1}")
    await life.kill()
    return not life.lost


@pytest.mark.timeout(280)
async def test_300_kills_with_a_grace(world: World, lives: Lives) -> None:
    """Where the provider answers again for a while, no sign-in is lost, whatever moment the kills hit."""
    world.idp.settings.grace = 60
    world.write_config('replay = "grace"')
    seed = secrets.randbits(32)
    toll = await kill_again_and_again(world, lives, KILLS, seed)
    told = f"seed {seed}"
    assert toll.losses == [], told
    assert await lives_on(lives), told
    assert "invalid_grant" not in {request.outcome for request in world.idp.token_requests}, told
    assert len(toll.struck) > KILLS / 4, told
    assert toll.struck_with("ok") > KILLS / 20, told
    assert toll.struck_with("gone") > KILLS / 20, told


@pytest.mark.timeout(280)
async def test_300_kills_at_a_strict_provider(world: World, lives: Lives) -> None:
    """A sign-in is lost only where an answer had been sent and was never stored, and the reason says so."""
    seed = secrets.randbits(32)
    toll = await kill_again_and_again(world, lives, KILLS, seed)
    told = f"seed {seed}"
    assert toll.needless == [], told
    assert [reason for reason in toll.losses if "was lost" not in reason] == [], told
    assert len(toll.struck) > KILLS / 4, told
    assert 0 < len(toll.losses) <= toll.struck_with("ok"), told


async def all_stored(world: World) -> list[TokenSet | None]:
    """The stored tokens of all accounts."""
    assembly = world.assembly()
    return [await assembly.store(name).load() for name in ("alice", *OTHERS)]


@pytest.mark.timeout(120)
async def test_kills_while_the_store_is_encrypted_anew(world: World, lives: Lives) -> None:
    """`store rekey` loses nothing, whenever it is killed, and can be run again."""
    alice, seed = await world.stored(), secrets.randbits(32)
    for name in OTHERS:
        await world.assembly().store(name).save(msgspec.structs.replace(alice, account=name))
    tokens, key_file = await all_stored(world), world.state / "data.key"
    chance, spans, half_done = random.Random(seed), list[float](), 0  # noqa: S311 - to be repeatable
    for _ in range(3):
        begun = time.monotonic()
        assert await (await lives.begin("store", "rekey")).over == 0
        spans.append(time.monotonic() - begun)
    for _ in range(REKEYS):
        life = await lives.begin("store", "rekey")
        await life.last_until(asyncio.sleep(chance.uniform(0, min(spans))))
        await life.kill()
        assert await all_stored(world) == tokens, f"seed {seed}"
        half_done += len(key_file.read_text().split()) > 1
    assert half_done > 0, f"seed {seed}"
    assert await (await lives.begin("store", "rekey")).over == 0
    assert len(key_file.read_text().split()) == 1
    assert await all_stored(world) == tokens
    assert await lives_on(lives)


@dataclass
class Login:
    """A `login` that goes on by itself from the moment at which the provider has been asked for tokens."""

    life: Life
    visit: asyncio.Task[tuple[int, str]]

    async def end(self) -> None:
        """Kill it, unless it has ended by itself."""
        await self.life.kill()
        await asyncio.gather(self.visit, return_exceptions=True)


async def begin_login(world: World, lives: Lives) -> Login:
    """Sign in as far as to the request for tokens."""
    life = await lives.begin("login", "alice", "--no-browser")
    asked = world.idp.faults.add("token", Fault())
    visit = asyncio.create_task(browse("http" + await life.line("http")))
    await asked.entered.wait()
    return Login(life, visit)


@pytest.mark.timeout(120)
async def test_kills_while_a_sign_in_is_saved(world: World, lives: Lives) -> None:
    """There are the tokens from before or the new ones, whole and good, whenever `login` is killed."""
    seed, seen = secrets.randbits(32), [(await world.stored()).sign_in_id]
    chance, login, begun = random.Random(seed), await begin_login(world, lives), time.monotonic()  # noqa: S311
    await login.life.over
    span = time.monotonic() - begun
    await login.end()
    for _ in range(SIGN_INS):
        login = await begin_login(world, lives)
        await login.life.last_until(asyncio.sleep(chance.uniform(0, span)))
        await login.end()
        tokens = await world.stored()
        assert world.idp.check(tokens.access_token) == "demo", f"seed {seed}"
        seen.append(tokens.sign_in_id)
    kept = sum(one == other for one, other in itertools.pairwise(seen))
    assert 0 < kept < SIGN_INS, f"seed {seed}"
    assert await lives_on(lives)

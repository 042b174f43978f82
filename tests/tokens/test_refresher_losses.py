"""Sign-ins that end, as a refresher sees them: who is told, and what is foretold."""

from __future__ import annotations

import pytest

from jmap_proxy.errors import SignInNeeded
from jmap_proxy.tokens import create_token_refresher
from jmap_proxy.tokens.losses import DAY, Loss
from jmap_proxy.tokens.outcome import Rejected
from jmap_proxy.tokens.report import State
from tests.support.clock import Clock
from tests.tokens.builders import HOUR, NOW, MemoryStore, Provider, make_bench, refreshed, token_set

WEEKS = [Loss(NOW - 22 * DAY, NOW - 15 * DAY), Loss(NOW - 14 * DAY, NOW - 7 * DAY)]


async def test_after_two_regular_losses_the_next_end_is_foretold() -> None:
    """From the start on, over refreshes, and for a new sign-in anew."""
    bench = await make_bench(None, refreshed(2))
    assert bench.refresher.report().likely_end_at is None
    bench.store.known_losses = WEEKS
    bench.store.tokens = token_set(signed_in_at=NOW - DAY)
    await bench.refresher.look()
    assert bench.refresher.report().likely_end_at == NOW + 6 * DAY
    bench.expire()
    assert await bench.token() == "access-2"
    assert bench.refresher.report().likely_end_at == NOW + 6 * DAY
    bench.store.tokens = token_set(signed_in_at=NOW, sign_in_id="second")
    await bench.refresher.look()
    assert bench.refresher.report().likely_end_at == NOW + 7 * DAY
    restarted = await create_token_refresher("alice", bench.store, bench.provider, clock=bench.clock)
    assert restarted.report().likely_end_at == NOW + 7 * DAY


async def test_a_regular_loss_tells_the_next_date() -> None:
    """With the likely reason: the user who signs in now knows how long it will last."""
    bench = await make_bench(token_set(signed_in_at=NOW - 7 * DAY), Rejected("invalid_grant"))
    bench.store.known_losses = WEEKS[-1:]
    bench.expire()
    with pytest.raises(SignInNeeded, match=r"after 7 days.*the next end is likely on 2027-01-22"):
        await bench.token()


async def test_a_loss_is_told_with_the_sign_in_that_was_lost() -> None:
    """Once for each, whatever comes after it: the next one has another name."""
    told: list[str] = []
    store, clock = MemoryStore(token_set()), Clock()
    refresher = await create_token_refresher(
        "alice", store, Provider(Rejected("invalid_grant")), clock=clock, lost=lambda name, _: told.append(name)
    )
    for name in ("first", "second"):
        store.tokens = token_set(sign_in_id=name, refresh_token=f"refresh-{name}", expires_at=clock.now + HOUR)
        await refresher.look()
        clock.now += HOUR + 1
        for _ in range(3):
            with pytest.raises(SignInNeeded):
                await refresher.ensure_valid_token()
    assert told == ["first", "second"]


async def test_a_loss_is_known_after_a_restart() -> None:
    """Without a request and without asking anybody; the living token goes on being used."""
    bench = await make_bench(token_set(), Rejected("invalid_grant"))
    bench.pass_time(HOUR - 30)
    assert await bench.token() == "access-1"
    told: list[tuple[str, str]] = []
    restarted = await create_token_refresher(
        "alice", bench.store, bench.provider, clock=bench.clock, lost=lambda *loss: told.append(loss)
    )
    report = restarted.report()
    assert (report.state, report.last_error_at) == (State.NEEDS_LOGIN, bench.clock.now)
    assert told == [("first", report.last_error)]
    assert await restarted.ensure_valid_token() == "access-1"
    assert len(bench.provider.asked) == 1


async def test_a_provider_that_has_come_to_another_mind_is_believed() -> None:
    """The restart is the way to ask once more; when new tokens come the note of the loss means nothing any more."""
    bench = await make_bench(token_set(), Rejected("invalid_grant"), refreshed(2))
    bench.expire()
    with pytest.raises(SignInNeeded):
        await bench.token()
    restarted = await create_token_refresher("alice", bench.store, bench.provider, clock=bench.clock)
    assert await restarted.ensure_valid_token() == "access-2"
    assert restarted.report().state is State.OK
    again = await create_token_refresher("alice", bench.store, bench.provider, clock=bench.clock)
    assert again.report().state is State.OK

import contextlib
import itertools
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tokens.keepalive import DAY, INTERVAL, PAUSE, SPREAD, KeepAlive, renew_at
from jmap_proxy.tokens.outcome import Transient
from jmap_proxy.tokens.tokenset import TokenSet
from tests.support.clock import Clock
from tests.tokens.builders import NOW, make_bench, refreshed, token_set


@dataclass
class Account:
    """An account that counts its renewals; each takes a while."""

    clock: Clock
    tokens: TokenSet | None
    renewals: list[float] = field(default_factory=list)

    async def renew(self) -> None:
        """Renew."""
        assert self.tokens is not None
        self.renewals.append(self.clock.now)
        self.tokens = token_set(self.tokens.generation + 1, obtained_at=self.clock.now)


class Ended(Exception):
    """The clock has come to the end of the story."""


def sleeping(clock: Clock, until: float = float("inf")):  # type: ignore[no-untyped-def] # noqa: ANN201
    """Return a sleep that sets the clock on, and how often it was used for how long."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds
        if clock.now > until:
            raise Ended

    return sleep, slept


@given(name=st.text(max_size=9), generation=st.integers(1, 99), idle=st.floats(1, 1e8))
def test_the_time_lies_in_the_last_fifth(name: str, generation: int, idle: float) -> None:
    """And is the same each time one looks, so that a restart does not put it off."""
    tokens = token_set(generation, account=name)
    assert NOW + (1 - SPREAD) * idle - 1 <= renew_at(tokens, idle) <= NOW + idle + 1
    assert renew_at(tokens, idle) == renew_at(tokens, idle)


def test_accounts_are_spread() -> None:
    """A thousand that were signed in at the same moment are not renewed at the same moment."""
    hours = {int(renew_at(token_set(account=f"a{n}"), 7 * DAY) // 3600) for n in range(1000)}
    assert len(hours) > 30


async def test_idle_accounts_are_renewed_in_time_and_others_left_alone() -> None:
    """In 60 days: each week once, one after the other with a pause between; not those that are off or signed out."""
    clock = Clock(NOW)
    idle = [Account(clock, token_set(account=f"a{n}")) for n in range(5)]
    off, out = Account(clock, token_set()), Account(clock, None)
    bare = Account(clock, token_set(refresh_token=""))
    accounts = {f"a{n}": (account, 7 * DAY) for n, account in enumerate(idle)}
    sleep, slept = sleeping(clock, NOW + 60 * DAY)
    keeper = KeepAlive({**accounts, "off": (off, 0.0), "out": (out, 7 * DAY), "bare": (bare, 7 * DAY)}, clock, sleep)
    with contextlib.suppress(Ended):
        await keeper.run()
    for account in idle:
        times = [NOW, *account.renewals, clock.now]
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 7 * DAY + INTERVAL
        assert len(account.renewals) <= 11
    assert off.renewals == out.renewals == bare.renewals == []
    assert slept.count(PAUSE) == sum(len(account.renewals) for account in idle)


async def test_a_clock_that_was_set_back_leaves_nobody_alone() -> None:
    """Tokens that seem to come from the next year are renewed now, not a week after they seem to have come."""
    clock = Clock(NOW)
    account = Account(clock, token_set(obtained_at=NOW + 365 * DAY))
    sleep, _ = sleeping(clock)
    keeper = KeepAlive({"alice": (account, 7 * DAY)}, clock, sleep)
    await keeper.go_round()
    assert account.renewals == [NOW]
    await keeper.go_round()
    assert account.renewals == [NOW]


async def test_a_provider_that_is_down_is_asked_again_in_the_next_round() -> None:
    """A failed renewal is a failed refresh as any: backed off, reported, nothing is lost."""
    bench = await make_bench(token_set(), Transient("down"), refreshed(2))
    sleep, _ = sleeping(bench.clock)
    keeper = KeepAlive({"alice": (bench.refresher, 3600.0)}, bench.clock, sleep)
    bench.pass_time(3600)
    await keeper.go_round()
    assert bench.refresher.report().last_error == "down"
    bench.pass_time(INTERVAL)
    await keeper.go_round()
    assert bench.refresher.report().generation == 2


async def test_a_provider_that_hangs_holds_up_nobody() -> None:
    """Its account's renewal goes on by itself; the next account's turn comes."""
    hanging, next_one = await make_bench(token_set()), await make_bench(token_set(account="next"))
    hanging.provider.gate.clear()
    accounts = {"alice": (hanging.refresher, 3600.0), "next": (next_one.refresher, 3600.0)}
    sleep, _ = sleeping(Clock())
    await KeepAlive(accounts, lambda: NOW + 3600.0, sleep, patience=0.01).go_round()
    assert next_one.refresher.report().generation == 2
    assert hanging.refresher.report().generation == 1
    hanging.provider.gate.set()
    await hanging.refresher.close()
    assert hanging.refresher.report().generation == 2

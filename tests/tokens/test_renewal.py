import asyncio
from dataclasses import replace

import pytest

from jmap_proxy.errors import ClientRefused, SignInNeeded, TokenDelayed
from jmap_proxy.tokens import create_token_refresher
from jmap_proxy.tokens.journal import GRACE, Attempt, Replay
from jmap_proxy.tokens.losses import DAY, Loss
from jmap_proxy.tokens.outcome import Outcome, Rejected, Transient
from jmap_proxy.tokens.report import State
from tests.support.clock import Clock
from tests.tokens.builders import HOUR, NOW, Bench, MemoryStore, Provider, make_bench, refreshed, token_set

LOST = Transient("the connection broke", answer_lost=True)


async def after_a_crash(
    asked_at: float, *outcomes: Outcome, replay: Replay = "strict", life: float = HOUR
) -> tuple[Bench, list[str]]:
    """A refresher whose predecessor died at `asked_at` while it waited for the provider; the reasons of losses."""
    store, clock, provider, lost = MemoryStore(token_set(life=life)), Clock(), Provider(*outcomes), list[str]()
    store.open_attempt = Attempt.of(token_set(), asked_at)
    refresher = await create_token_refresher(
        "alice",
        store,
        provider,
        clock=clock,
        jitter=lambda: 0.0,
        replay=replay,
        lost=lambda _, reason: lost.append(reason),
    )
    return Bench(clock, store, provider, refresher), lost


async def test_the_attempt_is_durable_before_the_provider_is_asked() -> None:
    """And it is gone once the new tokens are stored."""
    bench = await make_bench(token_set())
    bench.expire()
    bench.provider.meanwhile = lambda: bench.store.events.append(f"asked {bench.store.open_attempt is not None}")
    assert await bench.token() == "access-2"
    assert bench.store.events[2:] == ["load", "asking 1", "asked True", "saved 2", "unlock"]
    assert bench.store.open_attempt is None


async def test_a_strict_provider_is_not_asked_twice_while_the_token_lives() -> None:
    """The access token, which a replay would revoke, is served to its end; then the last try is made."""
    bench = await make_bench(token_set(), LOST, refreshed(2))
    for seconds in (HOUR - 250, 100, 100, 49):
        bench.pass_time(seconds)
        assert [await bench.token() for _ in range(3)] == ["access-1"] * 3
    await bench.refresher.close()
    assert len(bench.provider.asked) == 1
    report = bench.refresher.report()
    assert (report.answer_lost, report.next_refresh_at) == (True, NOW + HOUR)
    assert "was lost" in report.last_error
    bench.pass_time(1)
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 2
    assert bench.refresher.report().answer_lost is False


async def test_a_401_makes_the_last_try_at_once() -> None:
    """A token that the server refuses is not worth saving."""
    bench = await make_bench(token_set(), LOST, refreshed(2))
    bench.pass_time(HOUR - 250)
    await bench.token()
    await bench.refresher.close()
    bench.pass_time(10)
    assert await bench.token() == "access-1"
    assert await bench.refresher.replace_rejected("access-1") == "access-2"


async def test_a_provider_with_a_grace_is_asked_again_at_once() -> None:
    """The lost answer costs the waiting request nothing."""
    bench = await make_bench(token_set(), LOST, refreshed(2), replay="grace")
    bench.expire()
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 2


async def test_after_a_crash_the_answer_is_asked_for_at_once_where_that_is_allowed() -> None:
    """Without a request, since the grace is short."""
    bench, _ = await after_a_crash(NOW - GRACE / 2, refreshed(2), replay="grace")
    await bench.refresher.close()
    assert bench.provider.asked == ["refresh-1"]
    assert await bench.token() == "access-2"


@pytest.mark.parametrize(("replay", "age"), [("strict", 1.0), ("grace", GRACE + 1), ("grace", -5.0)])
async def test_after_a_crash_a_living_token_is_used_up_first(replay: Replay, age: float) -> None:
    """At a strict provider, and where the grace is over."""
    bench, _ = await after_a_crash(NOW - age, refreshed(2), replay=replay)
    bench.pass_time(HOUR - 30)
    assert [await bench.token() for _ in range(3)] == ["access-1"] * 3
    await bench.refresher.close()
    assert bench.provider.asked == []
    bench.pass_time(31)
    assert await bench.token() == "access-2"


async def test_a_rejection_after_a_lost_answer_is_explained() -> None:
    """With the time of the answer that never came, once."""
    bench, lost = await after_a_crash(NOW - 5, Rejected("invalid_grant"))
    bench.expire()
    for _ in range(3):
        with pytest.raises(SignInNeeded, match="2027-01-15 07:59:55 UTC was lost"):
            await bench.token()
    assert len(lost) == 1
    assert bench.store.known_losses == []


@pytest.mark.parametrize("before", [(), (Transient("busy"),), (LOST,)], ids=["at once", "busy", "lost again"])
async def test_a_rejection_is_explained_after_a_restart_too(before: tuple[Outcome, ...]) -> None:
    """The note of the lost answer outlives the refusal, and tries between the two that decide nothing."""
    bench, _ = await after_a_crash(NOW - 5, *before, Rejected("invalid_grant"))
    bench.expire()
    for _ in before:
        with pytest.raises(TokenDelayed):
            await bench.token()
        bench.pass_time(60)
    restarted = await create_token_refresher("alice", bench.store, bench.provider, clock=bench.clock)
    for refresher in (bench.refresher, restarted):
        with pytest.raises(SignInNeeded, match="2027-01-15 07:59:55 UTC was lost"):
            await refresher.ensure_valid_token()


async def test_a_rejection_of_the_replay_is_explained_too() -> None:
    """The grace was not what the configuration says."""
    bench = await make_bench(token_set(), LOST, Rejected("invalid_grant"), replay="grace")
    bench.expire()
    with pytest.raises(SignInNeeded, match="was lost"):
        await bench.token()


async def test_a_provider_that_keeps_its_refresh_tokens_is_asked_as_ever() -> None:
    """Nothing can have been spent there."""
    bench = await make_bench(token_set(rotation="no"), LOST, refreshed(2))
    bench.pass_time(HOUR - 59)
    assert await bench.token() == "access-1"
    bench.pass_time(1)
    assert await bench.token() == "access-2"


async def test_an_answer_that_says_no_for_now_leaves_nothing_open() -> None:
    """Busy is an answer: it is asked again after the back-off, not only at the end of the token."""
    bench = await make_bench(token_set(), Transient("busy", retry_after=5), refreshed(2))
    bench.pass_time(HOUR - 59)
    assert await bench.token() == "access-1"
    assert bench.store.open_attempt is None
    bench.pass_time(6)
    assert await bench.token() == "access-2"


async def test_without_a_living_token_a_lost_answer_is_told_with_retry_after() -> None:
    """Each try after the back-off may be the one that works."""
    bench = await make_bench(token_set(), LOST, LOST, refreshed(2))
    bench.expire()
    for _ in range(2):
        with pytest.raises(TokenDelayed, match="connection broke"):
            await bench.token()
        bench.pass_time(60)
    assert await bench.token() == "access-2"


async def test_what_is_not_stored_stays_open() -> None:
    """New tokens that are in memory only: whoever comes after a crash must know that the stored ones may be spent."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"))
    bench.expire()
    bench.provider.meanwhile = lambda: setattr(bench.store, "save_error", OSError("disk full"))
    assert await bench.token() == "access-2"
    assert bench.store.open_attempt == Attempt.of(token_set(), bench.clock.now)


async def test_a_client_that_is_refused_keeps_its_tokens() -> None:
    """The configuration is wrong, here or at the provider: told as that, tried again, and nothing is lost."""
    bench = await make_bench(token_set(), Transient("invalid_client", client_refused=True), refreshed(2))
    bench.expire()
    with pytest.raises(ClientRefused, match="invalid_client") as caught:
        await bench.token()
    assert (caught.value.status, "client_id" in caught.value.hint) == (503, True)
    assert bench.refresher.report().state is State.CLIENT_REFUSED
    assert bench.store.tokens == token_set()
    bench.pass_time(60)
    assert await bench.token() == "access-2"
    assert bench.refresher.report().state is State.OK


async def test_regular_losses_are_explained() -> None:
    """With what is known of providers that end sign-ins at a certain age."""
    bench = await make_bench(token_set(signed_in_at=NOW - 7 * DAY), Rejected("invalid_grant"))
    bench.store.known_losses = [Loss(NOW - 15 * DAY, NOW - 8 * DAY)]
    bench.expire()
    with pytest.raises(SignInNeeded, match="after 7 days"):
        await bench.token()


async def test_a_clock_that_was_set_back_renews_the_token() -> None:
    """Its age is not known then; the new one is counted by the new clock."""
    bench = await make_bench(token_set(), refreshed(2), refreshed(3))
    bench.pass_time(-HOUR)
    assert await bench.token() == "access-2"
    assert await bench.token() == "access-2"
    assert bench.refresher.report().expires_at == NOW


async def test_a_clock_that_jumps_ahead_costs_one_refresh() -> None:
    """As after a suspended night: the first request gets a new token."""
    bench = await make_bench(token_set())
    bench.pass_time(8 * HOUR)
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 1


@pytest.mark.parametrize(("clock_says", "ahead"), [(NOW + 300, 300), (NOW - 300, -300), (NOW, 0)])
async def test_the_clock_is_compared_with_the_providers(clock_says: float, ahead: float) -> None:
    """By the answer's Date; the report tells the difference."""
    bench = await make_bench(token_set(), Transient("busy", provider_time=NOW))
    bench.clock.now = clock_says
    with pytest.raises(TokenDelayed):
        await bench.refresher.replace_rejected("access-1")
    assert bench.refresher.report().clock_ahead == ahead


async def test_a_grace_that_is_over_is_not_used() -> None:
    """A machine that was suspended in the middle of the request: its answer is asked for as at a strict provider."""
    bench = await make_bench(token_set(), LOST, refreshed(2), replay="grace")
    bench.pass_time(HOUR - 250)
    bench.provider.meanwhile = lambda: bench.pass_time(GRACE + 1)
    assert await bench.token() == "access-1"
    await bench.refresher.close()
    assert len(bench.provider.asked) == 1


async def test_a_suspended_machine_has_no_wrong_clock() -> None:
    """The provider's time lies between the question and the answer, however far they are apart."""
    bench = await make_bench(token_set(), replace(refreshed(2), provider_time=NOW + 5))
    bench.provider.meanwhile = lambda: bench.pass_time(8 * HOUR)
    with pytest.raises(TokenDelayed):
        await bench.refresher.replace_rejected("access-1")
    assert bench.refresher.report().clock_ahead == 0


class Sleeps:
    """A sleep that takes no time, and sets the clock on by what it was asked for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Return at once."""
        self.slept.append(seconds)
        self.clock.now += seconds


async def replaying(replay: Replay, *outcomes: Outcome) -> tuple[Bench, Sleeps]:
    """A refresher that was asked for a token once, in the soft window, and then is left alone."""
    clock, store, provider = Clock(), MemoryStore(token_set()), Provider(*outcomes)
    sleeps = Sleeps(clock)
    refresher = await create_token_refresher(
        "alice", store, provider, clock=clock, jitter=lambda: 0.0, replay=replay, sleep=sleeps
    )
    clock.now += HOUR - 300
    assert await refresher.ensure_valid_token() == "access-1"
    await refresher.wait_saved()
    return Bench(clock, store, provider, refresher), sleeps


async def test_a_lost_answer_is_asked_for_again_without_a_request() -> None:
    """The network that lost it is down for a moment: the grace is short, and nobody may want mail in that time."""
    unreachable = Transient("no connection")
    bench, sleeps = await replaying("grace", LOST, unreachable, unreachable, unreachable, refreshed(2))
    await bench.store.saved.wait()
    await bench.refresher.wait_saved()
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 5
    assert sum(sleeps.slept) < GRACE
    await bench.refresher.close()


@pytest.mark.parametrize("replay", ["grace", "strict"])
async def test_what_cannot_be_had_is_not_asked_for(replay: Replay) -> None:
    """Not after the grace, and at a strict provider not at all."""
    bench, sleeps = await replaying(replay, LOST, Transient("no connection", retry_after=GRACE + 1))
    assert len(bench.provider.asked) == (2 if replay == "grace" else 1)
    assert sleeps.slept == []
    await bench.refresher.close()


async def test_who_waits_to_ask_again_can_be_ended() -> None:
    """At once: the note of the attempt is there for the next process."""
    clock, store = Clock(), MemoryStore(token_set())
    asleep = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    refresher = await create_token_refresher(
        "alice", store, Provider(LOST), clock=clock, jitter=lambda: 0.0, replay="grace", sleep=sleep
    )
    clock.now += HOUR - 300
    await refresher.ensure_valid_token()
    await asleep.wait()
    await refresher.close()
    assert store.open_attempt is not None

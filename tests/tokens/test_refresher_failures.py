import asyncio
from collections.abc import Awaitable, Callable

import pytest

from jmap_proxy.errors import SignInNeeded, StoreError, TokenDelayed, UpstreamRefusedToken
from jmap_proxy.tokens import create_token_refresher
from jmap_proxy.tokens.backoff import COOL_DOWN, COOL_DOWN_CAP
from jmap_proxy.tokens.outcome import Rejected, Transient
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.tokenset import TokenSet
from tests.support.clock import Clock
from tests.tokens.builders import HOUR, NOW, Bench, MemoryStore, Provider, make_bench, refreshed, token_set

GONE = Rejected("invalid_grant")


async def refused_by_the_server(bench: Bench) -> None:
    """Play a request of which the server refuses the token, and its replacement too."""
    token = await bench.token()
    token = await bench.refresher.replace_rejected(token)
    raise bench.refresher.refused_again(token)


async def test_a_server_that_refuses_every_token_causes_no_storm() -> None:
    """After one refresh that did not help, further 401s are answered without asking the provider."""
    bench = await make_bench(token_set(), *(refreshed(n) for n in range(2, 100)))
    for _ in range(50):
        with pytest.raises(UpstreamRefusedToken, match="even to a fresh token"):
            await refused_by_the_server(bench)
    assert len(bench.provider.asked) == 1


async def test_the_cool_down_doubles_and_is_reset() -> None:
    """Each refusal after a cool-down doubles the next one, up to the cap; a long quiet time starts over."""
    bench = await make_bench(token_set(life=10 * HOUR), *(refreshed(n, life=10 * HOUR) for n in range(2, 100)))
    for seconds in (COOL_DOWN, 2 * COOL_DOWN, 4 * COOL_DOWN, 8 * COOL_DOWN, COOL_DOWN_CAP, COOL_DOWN_CAP):
        asked = len(bench.provider.asked)
        with pytest.raises(UpstreamRefusedToken):
            await refused_by_the_server(bench)
        bench.pass_time(seconds - 1)
        with pytest.raises(UpstreamRefusedToken):
            await refused_by_the_server(bench)
        assert len(bench.provider.asked) == asked + 1
        bench.pass_time(1)
    bench.pass_time(COOL_DOWN_CAP)
    with pytest.raises(UpstreamRefusedToken):
        await refused_by_the_server(bench)
    bench.pass_time(COOL_DOWN)
    assert await bench.refresher.replace_rejected(await bench.token())


async def test_a_refusal_of_an_old_token_starts_no_cool_down() -> None:
    """A request that was slow, and was refused with a token that has been replaced since, proves nothing."""
    bench = await make_bench(token_set(2), refreshed(3))
    bench.refresher.refused_again("access-1")
    assert await bench.refresher.replace_rejected("access-2") == "access-3"


async def test_a_passing_failure_is_not_seen_while_the_token_lives() -> None:
    """The current token is served, and the provider is left alone until the back-off is over."""
    bench = await make_bench(token_set(), Transient("down"), refreshed(2))
    bench.pass_time(HOUR - 59)
    assert [await bench.token() for _ in range(20)] == ["access-1"] * 20
    assert len(bench.provider.asked) == 1
    assert bench.refresher.report().state is State.RETRYING
    assert bench.refresher.report().last_error == "down"
    bench.pass_time(1)
    assert await bench.token() == "access-2"
    assert bench.refresher.report().state is State.OK


async def test_without_a_token_a_passing_failure_is_told_with_retry_after() -> None:
    """The provider's Retry-After is honoured and passed on; nobody asks before that."""
    bench = await make_bench(token_set(), Transient("down", retry_after=17), refreshed(2))
    bench.expire()
    for _ in range(20):
        with pytest.raises(TokenDelayed, match="down") as caught:
            await bench.token()
        assert caught.value.headers() == {"Retry-After": "17"}
    bench.pass_time(16.9)
    with pytest.raises(TokenDelayed):
        await bench.token()
    assert len(bench.provider.asked) == 1
    bench.pass_time(0.2)
    assert await bench.token() == "access-2"


async def test_a_401_during_back_off_is_answered_at_once() -> None:
    """A refused token cannot be replaced while the provider is left alone; it is not given out again either."""
    bench = await make_bench(token_set(), Transient("down", retry_after=60))
    for _ in range(3):
        with pytest.raises(TokenDelayed, match="down"):
            await bench.refresher.replace_rejected("access-1")
    assert len(bench.provider.asked) == 1


async def test_a_rejection_ends_the_asking() -> None:
    """Once the refresh token is refused, the provider is never asked with it again."""
    bench = await make_bench(token_set(), GONE)
    bench.expire()
    for _ in range(5):
        with pytest.raises(SignInNeeded, match="refused the refresh token"):
            await bench.token()
    assert bench.provider.asked == ["refresh-1"]
    assert bench.refresher.report().state is State.NEEDS_LOGIN
    assert bench.refresher.report().next_refresh_at is None


async def test_after_a_rejection_the_living_token_is_used_up() -> None:
    """The access token may outlive its refresh token; it is used to its end."""
    bench = await make_bench(token_set(), GONE)
    bench.pass_time(HOUR - 59)
    assert [await bench.token() for _ in range(3)] == ["access-1"] * 3
    assert len(bench.provider.asked) == 1


async def test_a_new_sign_in_by_another_process_ends_the_rejection() -> None:
    """What `login` has stored meanwhile is taken up with the next request."""
    bench = await make_bench(token_set(), GONE)
    bench.expire()
    with pytest.raises(SignInNeeded):
        await bench.token()
    bench.store.tokens = token_set(access_token="access-new", sign_in_id="second", expires_at=NOW + 3 * HOUR)
    assert await bench.token() == "access-new"
    assert bench.refresher.report().state is State.OK


async def test_a_rejection_does_not_count_if_the_store_has_changed() -> None:
    """Another process that does not honour the lock may have spent the refresh token: its tokens are taken up."""
    bench = await make_bench(token_set(), GONE)

    def overtaken() -> None:
        bench.store.tokens = token_set(2, refresh_token="refresh-2", expires_at=NOW + 3 * HOUR)

    bench.provider.meanwhile = overtaken
    bench.expire()
    assert await bench.token() == "access-2"
    assert bench.refresher.report().state is State.OK


async def test_each_waiter_gets_an_error_of_its_own() -> None:
    """One error object raised by all waiters would collect the frames, and with them the requests, of all."""
    bench = await make_bench(None)
    errors = await asyncio.gather(*(bench.token() for _ in range(5)), return_exceptions=True)
    assert {type(error) for error in errors} == {SignInNeeded}
    assert len({id(error) for error in errors}) == 5


async def test_tokens_that_cannot_be_saved_are_served_from_memory() -> None:
    """The state says UNSAVED, and the next refresh uses the refresh token that is in memory only."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"), refreshed(3, rotated="refresh-3"))
    bench.store.save_error = StoreError("disk full", hint="make room")
    bench.expire()
    assert await bench.token() == "access-2"
    report = bench.refresher.report()
    assert (report.state, report.last_error) == (State.UNSAVED, "disk full")
    bench.store.save_error = None
    bench.pass_time(HOUR)
    assert await bench.token() == "access-3"
    assert bench.provider.asked == ["refresh-1", "refresh-2"]
    assert bench.refresher.report().state is State.OK


async def test_a_store_that_breaks_later_is_a_passing_failure() -> None:
    """With tokens in memory a store that cannot be read stops the refresh, not the service; nothing is spent."""
    bench = await make_bench(token_set())
    bench.store.load_error = StoreError("alice.jwe: damaged")
    bench.pass_time(HOUR - 30)
    assert await bench.token() == "access-1"
    assert bench.refresher.report().last_error == "alice.jwe: damaged"
    bench.pass_time(40)
    with pytest.raises(StoreError, match="damaged"):
        await bench.token()
    assert bench.provider.asked == []


async def test_an_unforeseen_error_leaves_nobody_waiting() -> None:
    """A grant that raises against its promise counts as a passing failure; its text is not told."""
    bench = await make_bench(token_set(), RuntimeError("with a secret"), refreshed(2))
    bench.expire()
    results = await asyncio.gather(*(bench.token() for _ in range(10)), return_exceptions=True)
    assert {type(result) for result in results} == {TokenDelayed}
    assert "unforeseen: RuntimeError" in str(results[0])
    assert "secret" not in str(results[0])
    bench.pass_time(5)
    assert await bench.token() == "access-2"


async def test_a_token_that_comes_expired_is_not_asked_for_again_at_once() -> None:
    """A provider that takes longer to answer than its tokens live is given a rest."""
    bench = await make_bench(token_set(), refreshed(2, life=0.0))
    bench.expire()
    for _ in range(5):
        with pytest.raises(TokenDelayed, match="had expired when it came"):
            await bench.token()
    assert len(bench.provider.asked) == 1


async def test_what_could_not_be_saved_is_saved_at_the_end() -> None:
    """A refresher that is closed with tokens in memory only tries once more to write them down."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"))
    bench.store.save_error = StoreError("disk full", hint="make room")
    bench.expire()
    await bench.token()
    bench.store.save_error = None
    await bench.refresher.close()
    assert bench.store.tokens is not None
    assert bench.store.tokens.refresh_token == "refresh-2"


async def test_a_new_sign_in_is_taken_up_during_back_off() -> None:
    """A request in the waiting time after a failure asks nobody, but sees what another process has stored."""
    bench = await make_bench(token_set(), Transient("down", retry_after=600))
    bench.expire()
    with pytest.raises(TokenDelayed):
        await bench.token()
    with pytest.raises(TokenDelayed):
        await bench.token()
    bench.store.tokens = token_set(1, sign_in_id="second", access_token="new", expires_at=bench.clock.now + HOUR)
    assert await bench.token() == "new"
    assert len(bench.provider.asked) == 1


async def test_a_provider_that_gives_the_same_token_again_causes_no_storm() -> None:
    """A token that is refused and comes back from the refresh unchanged is not asked for again and again."""
    bench = await make_bench(token_set(), *(refreshed(1) for _ in range(20)))
    for _ in range(20):
        with pytest.raises(UpstreamRefusedToken):
            await bench.refresher.replace_rejected("access-1")
    assert len(bench.provider.asked) == 1


async def test_a_rotated_token_survives_any_failure_to_save_it() -> None:
    """Whatever goes wrong while the tokens are stored, the spent refresh token is not sent again."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"), refreshed(3))
    bench.store.save_error = RuntimeError("can't start new thread")
    bench.expire()
    assert await bench.token() == "access-2"
    assert bench.refresher.report().state is State.UNSAVED
    bench.store.save_error = None
    bench.pass_time(HOUR)
    await bench.token()
    assert bench.provider.asked == ["refresh-1", "refresh-2"]


class OvertakenStore(MemoryStore):
    """A store in which a newer sign-in arrives, and is taken up, while an older one is being read."""

    overtake: Callable[[], Awaitable[None]] | None = None

    async def load(self) -> TokenSet | None:
        """The tokens as they were before."""
        old = await super().load()
        if self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            await overtake()
        return old


async def test_what_was_read_before_a_refresh_ended_is_not_taken_up_after_it() -> None:
    """A look into the store that is overtaken by a newer sign-in does not put the old one back."""
    store = OvertakenStore(token_set())
    refresher = await create_token_refresher("alice", store, Provider(refreshed(9)), clock=Clock())

    async def overtake() -> None:
        store.tokens = token_set(access_token="new", sign_in_id="second")
        await refresher.look()

    store.overtake = overtake
    await refresher.look()
    assert await refresher.ensure_valid_token() == "new"

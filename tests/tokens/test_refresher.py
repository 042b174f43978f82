import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from jmap_proxy.errors import SignInNeeded, StoreError, TokenDelayed
from jmap_proxy.tokens import TokenRefresher, TokenSet
from jmap_proxy.tokens.journal import Attempt
from jmap_proxy.tokens.losses import Loss
from jmap_proxy.tokens.outcome import Transient
from jmap_proxy.tokens.refusal import Refusal
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.window import Window
from tests.support.clock import Clock
from tests.tokens.builders import HOUR, NOW, Provider, make_bench, refreshed, token_set


class Untouchable:
    """A store that may be read once, at the start, and then not be used at all."""

    def __init__(self, tokens: TokenSet) -> None:
        self._tokens = [tokens]

    async def load(self) -> TokenSet:
        """Give the tokens the first time."""
        return self._tokens.pop()

    async def save(self, tokens: TokenSet) -> None:
        """Fail."""
        raise AssertionError(tokens)

    async def attempt(self) -> Attempt | None:
        """Know of none."""
        return None

    async def begin_attempt(self, attempt: Attempt) -> None:
        """Fail."""
        raise AssertionError(attempt)

    async def end_attempt(self) -> None:
        """Fail."""
        raise AssertionError

    async def losses(self) -> list[Loss]:
        """Know of none."""
        return []

    async def note_loss(self, loss: Loss) -> list[Loss]:
        """Fail."""
        raise AssertionError(loss)

    async def refusal(self) -> Refusal | None:
        """Know of none."""
        return None

    async def note_refusal(self, refusal: Refusal) -> None:
        """Fail."""
        raise AssertionError(refusal)

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Fail."""
        raise AssertionError


async def test_a_valid_token_needs_no_store_no_lock_and_no_provider() -> None:
    """The fast path does no I/O and does not even give other tasks a turn."""
    refresher = TokenRefresher("alice", Untouchable(token_set()), Provider(AssertionError()), clock=Clock())
    await refresher.start()
    call = refresher.ensure_valid_token()
    with pytest.raises(StopIteration) as finished:
        call.send(None)
    assert finished.value.value == "access-1"


async def test_a_token_is_at_hand_while_nothing_is_to_be_done_for_it() -> None:
    """Not in the soft window, where `ensure_valid_token` begins a refresh, nor where there is none."""
    clock = Clock()
    refresher = TokenRefresher("alice", Untouchable(token_set()), Provider(AssertionError()), clock=clock)
    assert refresher.token_now() is None
    await refresher.start()
    assert refresher.token_now() == token_set().access_token
    clock.now = Window.of(token_set()).soft_at
    assert refresher.token_now() is None


async def test_the_soft_window_refreshes_in_the_background() -> None:
    """In the soft window callers go on at once with the current token while one refresh runs."""
    bench = await make_bench(token_set())
    bench.provider.gate.clear()
    bench.pass_time(HOUR - 299)
    assert [await bench.token(), await bench.token()] == ["access-1", "access-1"]
    await bench.provider.called.wait()
    bench.provider.gate.set()
    await bench.refresher.close()
    assert await bench.token() == "access-2"
    assert bench.provider.asked == ["refresh-1"]


async def test_the_hard_window_waits() -> None:
    """In the hard window a caller gets the new token, though the old one is still alive."""
    bench = await make_bench(token_set())
    bench.pass_time(HOUR - 59)
    assert await bench.token() == "access-2"


async def test_tokens_of_five_seconds_are_not_refreshed_each_time() -> None:
    """A token that lives five seconds is used for half of that before anybody asks for another."""
    bench = await make_bench(token_set(life=5), refreshed(2, life=5))
    bench.pass_time(1.9)
    assert await bench.token() == "access-1"
    bench.pass_time(0.7)
    assert await bench.token() == "access-2"
    bench.pass_time(1.9)
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 1


async def test_a_refresh_token_that_is_not_rotated_is_kept() -> None:
    """An answer without refresh token keeps the old one, in the store and for the next refresh."""
    bench = await make_bench(token_set(), refreshed(2), refreshed(3))
    bench.expire()
    await bench.token()
    assert bench.store.tokens is not None
    assert bench.store.tokens.refresh_token == "refresh-1"
    bench.clock.now += HOUR
    assert await bench.token() == "access-3"
    assert bench.provider.asked == ["refresh-1", "refresh-1"]


async def test_a_rotated_refresh_token_is_durable_before_anybody_goes_on() -> None:
    """Everything is saved, under the lock, before the first waiter sees the new access token."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"))
    bench.expire()

    async def caller() -> None:
        bench.store.events.append(await bench.token())

    await asyncio.gather(caller(), caller())
    assert bench.store.events == ["load", "lock", "load", "asking 1", "saved 2", "unlock", "access-2", "access-2"]
    assert bench.store.tokens is not None
    assert bench.store.tokens.refresh_token == "refresh-2"


async def test_life_counts_from_when_the_tokens_were_asked_for() -> None:
    """The time that the answer took is part of the token's life, so that it is never overestimated."""
    bench = await make_bench(token_set(), refreshed(2, life=100))
    bench.provider.gate.clear()
    bench.pass_time(HOUR)
    caller = asyncio.create_task(bench.token())
    await bench.provider.called.wait()
    bench.pass_time(10)
    bench.provider.gate.set()
    await caller
    assert bench.refresher.report().expires_at == NOW + HOUR + 100


async def test_another_process_newer_generation_is_taken_up() -> None:
    """What another process has refreshed and stored is used instead of asking the provider."""
    bench = await make_bench(token_set())
    bench.store.tokens = token_set(2, obtained_at=NOW + HOUR, expires_at=NOW + 2 * HOUR)
    bench.pass_time(HOUR)
    assert await bench.token() == "access-2"
    assert bench.provider.asked == []


async def test_a_newer_generation_that_is_also_old_is_refreshed_in_turn() -> None:
    """The newest refresh token is used, not the one in memory."""
    bench = await make_bench(token_set(), refreshed(3))
    bench.store.tokens = token_set(2, refresh_token="refresh-2")
    bench.pass_time(HOUR)
    assert await bench.token() == "access-3"
    assert bench.provider.asked == ["refresh-2"]


async def test_an_older_generation_on_disk_is_not_taken_up() -> None:
    """A file from a backup does not bring back tokens that memory has newer ones of."""
    bench = await make_bench(token_set(5, refresh_token="refresh-5"), refreshed(6))
    bench.store.tokens = token_set(1)
    bench.pass_time(HOUR)
    assert await bench.token() == "access-6"
    assert bench.provider.asked == ["refresh-5"]


async def test_a_sign_out_by_another_process_is_taken_up() -> None:
    """Once the store is empty the tokens in memory are dropped, and only a new sign-in helps."""
    bench = await make_bench(token_set())
    bench.store.tokens = None
    with pytest.raises(SignInNeeded, match="not signed in"):
        await bench.refresher.replace_rejected("access-1")
    with pytest.raises(SignInNeeded):
        await bench.token()
    assert bench.refresher.report().state is State.NEEDS_LOGIN
    bench.store.tokens = token_set(sign_in_id="second", access_token="access-new")
    assert await bench.token() == "access-new"


async def test_an_account_that_is_not_signed_in_says_so() -> None:
    """Without tokens the answer is SignInNeeded with the command that helps; the provider is not asked."""
    bench = await make_bench(None)
    with pytest.raises(SignInNeeded) as caught:
        await bench.token()
    assert caught.value.hint == "run: jmap-proxy login alice"
    assert bench.provider.asked == []


async def test_a_token_without_refresh_token_is_used_to_its_end() -> None:
    """Where the provider gave no refresh token the token is good until it expires, and then a sign-in is needed."""
    bench = await make_bench(token_set(refresh_token=""))
    bench.pass_time(HOUR - 1)
    assert await bench.token() == "access-1"
    assert bench.refresher.report().next_refresh_at is None
    bench.expire()
    with pytest.raises(SignInNeeded, match="no refresh token"):
        await bench.token()


async def test_a_store_that_cannot_be_read_at_the_start_is_told() -> None:
    """The store's own error with its hint is what a request gets, until the file is mended."""
    damaged = StoreError("alice.jwe: damaged", hint="move alice.jwe away")
    bench = await make_bench(token_set(), load_error=damaged)
    assert bench.refresher.report().state is State.STORE_ERROR
    with pytest.raises(StoreError, match="damaged") as caught:
        await bench.token()
    assert caught.value.hint == "move alice.jwe away"
    assert bench.provider.asked == []
    assert not any(event.startswith("saved") for event in bench.store.events)
    bench.store.load_error = None
    assert await bench.token() == "access-1"
    assert bench.refresher.report().state is State.OK


async def test_a_clock_that_steps_back_does_no_harm() -> None:
    """The token goes on being used, and a back-off noted in the future does not last until then."""
    bench = await make_bench(token_set(), Transient("down"), refreshed(2))
    bench.clock.now = NOW + 1e8
    with pytest.raises(TokenDelayed):
        await bench.token()
    bench.clock.now = NOW - 50
    assert await bench.token() == "access-1"
    assert await bench.refresher.replace_rejected("access-1") == "access-2"


async def test_a_cool_down_does_not_outlast_a_clock_that_steps_back() -> None:
    """A cool-down noted in the future ends when the clock is set right."""
    bench = await make_bench(token_set(life=1e9), refreshed(2))
    bench.clock.now = NOW + 1e8
    bench.refresher.refused_again("access-1")
    bench.clock.now = NOW
    assert await bench.refresher.replace_rejected("access-1") == "access-2"


async def test_close_waits_for_the_refresh_under_way() -> None:
    """A rotated token is saved before the program ends; closing an idle refresher is immediate."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"))
    await bench.refresher.close()
    bench.provider.gate.clear()
    bench.pass_time(HOUR - 200)
    await bench.token()
    closing = asyncio.create_task(bench.refresher.close())
    await bench.provider.called.wait()
    assert not closing.done()
    bench.provider.gate.set()
    await closing
    assert bench.store.events[-2:] == ["saved 2", "unlock"]


async def test_the_report_tells_times_and_generation() -> None:
    """The report holds what status shows; the next refresh is when the soft window opens."""
    report = (await make_bench(token_set(7))).refresher.report()
    assert (report.issuer, report.generation) == ("https://sso.example.com", 7)
    assert (report.obtained_at, report.expires_at) == (NOW, NOW + HOUR)
    assert report.next_refresh_at == Window.of(token_set(7)).soft_at
    assert (report.state, report.last_error, report.last_error_at) == (State.OK, "", None)

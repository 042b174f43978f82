import asyncio

import pytest

from jmap_proxy.errors import TokenDelayed
from tests.tokens.builders import HOUR, Bench, make_bench, refreshed, token_set


async def waiting_callers(bench: Bench, count: int) -> list[asyncio.Task[str]]:
    """Return callers that all wait for a refresh which the provider has not answered yet."""
    bench.provider.gate.clear()
    bench.expire()
    callers = [asyncio.create_task(bench.token()) for _ in range(count)]
    await bench.provider.called.wait()
    return callers


async def test_500_callers_at_expiry_cause_one_refresh() -> None:
    """All of them get the new token, and the provider is asked once."""
    bench = await make_bench(token_set())
    callers = await waiting_callers(bench, 500)
    bench.provider.gate.set()
    assert await asyncio.gather(*callers) == ["access-2"] * 500
    assert bench.provider.asked == ["refresh-1"]


async def test_a_cancelled_waiter_hurts_nobody() -> None:
    """The others get the token from the same refresh."""
    bench = await make_bench(token_set())
    callers = await waiting_callers(bench, 3)
    callers[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await callers[0]
    bench.provider.gate.set()
    assert await asyncio.gather(*callers[1:]) == ["access-2"] * 2
    assert len(bench.provider.asked) == 1


async def test_the_refresh_goes_on_when_all_waiters_are_gone() -> None:
    """What the provider has rotated is saved even if nobody waits for it any more."""
    bench = await make_bench(token_set(), refreshed(2, rotated="refresh-2"))
    callers = await waiting_callers(bench, 5)
    for caller in callers:
        caller.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*callers, return_exceptions=True))
    bench.provider.gate.set()
    await bench.refresher.close()
    assert bench.store.tokens is not None
    assert bench.store.tokens.refresh_token == "refresh-2"
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 1


async def test_many_401s_on_one_token_cause_one_refresh() -> None:
    """Requests that were refused together all get the token of one refresh."""
    bench = await make_bench(token_set())
    answers = await asyncio.gather(*(bench.refresher.replace_rejected("access-1") for _ in range(100)))
    assert answers == ["access-2"] * 100
    assert len(bench.provider.asked) == 1


async def test_a_401_on_an_old_token_does_not_refresh() -> None:
    """Who was refused with a token that has been replaced meanwhile gets the current one."""
    bench = await make_bench(token_set(2))
    assert await bench.refresher.replace_rejected("access-1") == "access-2"
    assert bench.provider.asked == []


async def test_a_401_joins_the_refresh_under_way() -> None:
    """A background refresh that has begun already is the answer to a 401 too."""
    bench = await make_bench(token_set())
    bench.provider.gate.clear()
    bench.pass_time(HOUR - 200)
    await bench.token()
    refused = asyncio.create_task(bench.refresher.replace_rejected("access-1"))
    await bench.provider.called.wait()
    bench.provider.gate.set()
    assert await refused == "access-2"
    assert len(bench.provider.asked) == 1


async def test_a_401_takes_up_what_another_process_has_stored() -> None:
    """A newer generation in the store replaces the refused token without a request to the provider."""
    bench = await make_bench(token_set())
    bench.store.tokens = token_set(2)
    assert await bench.refresher.replace_rejected("access-1") == "access-2"
    assert bench.provider.asked == []


async def test_a_401_does_not_take_up_the_same_token_again() -> None:
    """A newer generation that holds the refused access token is no news; the provider is asked."""
    bench = await make_bench(token_set(), refreshed(3))
    bench.store.tokens = token_set(2, access_token="access-1", refresh_token="refresh-2")
    assert await bench.refresher.replace_rejected("access-1") == "access-3"
    assert bench.provider.asked == ["refresh-2"]


async def test_out_of_patience_the_current_token_is_used_while_it_lives() -> None:
    """In the hard window a provider that hangs delays a request, but does not fail it."""
    bench = await make_bench(token_set(), patience=0.0)
    bench.provider.gate.clear()
    bench.pass_time(HOUR - 30)
    assert await bench.token() == "access-1"
    bench.provider.gate.set()
    await bench.refresher.close()


async def test_out_of_patience_without_a_token_the_client_is_told_to_try_again() -> None:
    """With nothing to send, a provider that hangs gives TokenDelayed with Retry-After; the refresh goes on."""
    bench = await make_bench(token_set(), patience=0.0)
    bench.provider.gate.clear()
    bench.pass_time(HOUR)
    with pytest.raises(TokenDelayed, match="no answer yet") as caught:
        await bench.token()
    assert caught.value.headers() == {"Retry-After": "1"}
    bench.provider.gate.set()
    await bench.refresher.close()
    assert await bench.token() == "access-2"
    assert len(bench.provider.asked) == 1


async def test_out_of_patience_a_refused_token_is_not_given_out_again() -> None:
    """After a 401 the refused token is no substitute, however long it would live."""
    bench = await make_bench(token_set(), patience=0.0)
    bench.provider.gate.clear()
    with pytest.raises(TokenDelayed):
        await bench.refresher.replace_rejected("access-1")
    bench.provider.gate.set()
    await bench.refresher.close()


async def test_a_cancelled_refresh_leaves_the_waiters_with_an_answer() -> None:
    """If the loop is torn down around the shared task, its waiters end; the next call starts anew."""
    bench = await make_bench(token_set())
    callers = await waiting_callers(bench, 2)
    (refresh,) = (task for task in asyncio.all_tasks() if task.get_name() == "refresh alice")
    refresh.cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [TokenDelayed, TokenDelayed]
    bench.provider.gate.set()
    assert await bench.token() == "access-2"


async def test_a_provider_that_hangs_costs_one_patience_not_one_each_time() -> None:
    """While the token lives, nobody waits for a refresh that somebody has already waited for in vain."""
    bench = await make_bench(token_set(), refreshed(2), patience=0.05)
    bench.provider.gate.clear()
    bench.pass_time(HOUR - 30)
    assert await bench.token() == "access-1"
    current = asyncio.ensure_future(bench.token())
    for _ in range(3):
        await asyncio.sleep(0)
    assert current.done()
    assert current.result() == "access-1"
    bench.provider.gate.set()
    await bench.refresher.close()
    assert await bench.token() == "access-2"


async def test_who_has_nothing_to_send_waits_though_somebody_has_waited_in_vain() -> None:
    """The answer may come a moment after the first one has given up: no 503 for those who can still wait."""
    bench = await make_bench(token_set(), patience=0.05)
    (first,) = await waiting_callers(bench, 1)
    with pytest.raises(TokenDelayed):
        await first
    second = asyncio.create_task(bench.token())
    refused = asyncio.create_task(bench.refresher.replace_rejected("access-1"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    assert not refused.done()
    bench.provider.gate.set()
    assert [await second, await refused] == ["access-2"] * 2
    assert len(bench.provider.asked) == 1


async def test_what_was_taken_up_while_the_lock_was_waited_for_is_not_renewed_at_once() -> None:
    """The watch has seen what another process stored before the refresh had its turn, which is then over."""
    bench = await make_bench(token_set(), refreshed(3))
    bench.expire()
    async with bench.store.lock():
        waiting = asyncio.create_task(bench.token())
        await asyncio.sleep(0)
        bench.store.tokens = token_set(2, obtained_at=bench.clock.now, expires_at=bench.clock.now + HOUR)
        await bench.refresher.look()
    assert await waiting == "access-2"
    await bench.refresher.close()
    assert bench.provider.asked == []

import asyncio

import pytest

from jmap_proxy.errors import UpstreamMalformed
from jmap_proxy.proxy.session.shared_fetches import MOST, SharedFetches


class Source:
    """Fetches numbers when the test says so, or fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def fetch(self, key: str) -> int:
        """How many times it was asked."""
        self.asked.append(key)
        number = len(self.asked)
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
def source() -> Source:
    """Return a source that is held."""
    return Source()


def shared(source: Source, patience: float = 5, kept: float = 5) -> SharedFetches[int]:
    """Fetches from the source."""
    return SharedFetches(source.fetch, patience, "test", kept)


async def test_all_who_ask_at_the_same_time_share_a_fetch(source: Source) -> None:
    """One for each key; who asks when it has ended gets a newer one."""
    fetches = shared(source)
    asked = [asyncio.create_task(fetches.get(key)) for key in "aaab"]
    await asyncio.sleep(0)
    source.release.set()
    assert await asyncio.gather(*asked) == [1, 1, 1, 2]
    assert source.asked == ["a", "b"]
    assert await fetches.get("a") == 3


async def test_who_cannot_wait_longer_finds_the_outcome_later(source: Source) -> None:
    """The fetch goes on, whether it still runs when he asks again or has ended; then it is used up."""
    fetches = shared(source, patience=0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await fetches.get("a")
    running = next(task for task in asyncio.all_tasks() if task.get_name() == "test")
    source.release.set()
    await running
    assert await fetches.get("a") == 1
    assert await fetches.get("a") == 2


async def test_an_outcome_that_nobody_comes_for_is_forgotten(source: Source) -> None:
    """It would be old; a failure is seen all the same, so that nothing is said of it when it is forgotten."""
    fetches = shared(source, patience=0.01, kept=0)
    source.error = UpstreamMalformed("bad")
    with pytest.raises(TimeoutError):
        await fetches.get("a")
    source.release.set()
    while fetches._fetches:  # noqa: ASYNC110 - a few turns of the event loop
        await asyncio.sleep(0)
    source.error = None
    assert await fetches.get("a") == 2


async def test_a_failure_is_everybodys_with_an_error_of_its_own(source: Source) -> None:
    """One object raised many times would collect the tracebacks of all."""
    fetches = shared(source)
    source.error = UpstreamMalformed("bad", hint="mend it")
    source.release.set()
    first, second = await asyncio.gather(fetches.get("a"), fetches.get("a"), return_exceptions=True)
    assert isinstance(first, UpstreamMalformed)
    assert isinstance(second, UpstreamMalformed)
    assert first is not second
    assert (first.detail, first.hint) == (second.detail, second.hint) == ("bad", "mend it")
    assert source.asked == ["a"]


async def test_one_who_leaves_hurts_nobody(source: Source) -> None:
    """Neither those who wait with him nor, if he was the only one, those who come later."""
    fetches = shared(source)
    leaving, staying = (asyncio.create_task(fetches.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    source.release.set()
    assert await staying == 1
    assert await fetches.get("a") == 2


async def test_keys_have_a_bound(source: Source) -> None:
    """Clients choose them; what runs already can still be waited for."""
    fetches = shared(source, patience=0.01)
    for number in range(MOST + 1):
        with pytest.raises(TimeoutError):
            await fetches.get(str(number))
    assert len(source.asked) == MOST
    source.release.set()
    assert await fetches.get("0") == 1
    await fetches.close()


async def test_closing_ends_what_is_running(source: Source) -> None:
    """Those who wait are cancelled, and closing twice is no error."""
    fetches = shared(source)
    waiting = asyncio.create_task(fetches.get("a"))
    await asyncio.sleep(0)
    await fetches.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "test"]
    await fetches.close()

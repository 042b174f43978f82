import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.attempts import Attempts
from jmap_proxy.tokens.journal import Attempt
from tests.tokens.builders import NOW, MemoryStore, token_set

ATTEMPT = Attempt.of(token_set(), NOW)


class BrokenStore(MemoryStore):
    """A store whose journal can be neither read nor removed."""

    async def attempt(self) -> Attempt | None:
        """Fail."""
        raise StoreError("unreadable")

    async def end_attempt(self) -> None:
        """Fail."""
        raise StoreError("read-only")


async def test_an_attempt_is_known_to_the_next_process() -> None:
    """Until its outcome is known."""
    store = MemoryStore(token_set())
    await Attempts("alice", store).begin(ATTEMPT)
    after_the_crash = Attempts("alice", store)
    assert await after_the_crash.open_attempt(token_set()) == ATTEMPT
    assert await after_the_crash.open_attempt(token_set(refresh_token="refresh-2")) is None
    await after_the_crash.end()
    assert await Attempts("alice", store).open_attempt(token_set()) is None


async def test_a_full_disk_does_not_stop_the_refresh() -> None:
    """The attempt is known in memory, and the log says that it is not on disk."""
    store = MemoryStore(token_set())
    store.save_error = StoreError("disk full")
    attempts = Attempts("alice", store)
    with capture_logs() as lines:
        await attempts.begin(ATTEMPT)
    assert [line["event"] for line in lines] == ["refresh goes without a journal"]
    assert await attempts.open_attempt(token_set()) == ATTEMPT


@pytest.mark.parametrize("known", [False, True])
async def test_a_journal_that_cannot_be_used_is_no_obstacle(*, known: bool) -> None:
    """What memory knows counts then."""
    attempts = Attempts("alice", BrokenStore(token_set()))
    if known:
        await attempts.begin(ATTEMPT)
    assert await attempts.open_attempt(token_set()) == (ATTEMPT if known else None)
    await attempts.end()
    assert await attempts.open_attempt(token_set()) is None


async def test_an_attempt_of_another_process_is_seen_behind_one_that_is_over() -> None:
    """A lost answer that memory knows says nothing of later tokens: another process may have spent those and died."""
    store = MemoryStore(token_set())
    attempts, others = Attempts("alice", store), Attempts("alice", store)
    await attempts.begin(ATTEMPT)
    later = token_set(3, refresh_token="refresh-3")
    assert await attempts.open_attempt(later) is None
    await others.begin(Attempt.of(later, NOW))
    assert await attempts.open_attempt(later) == Attempt.of(later, NOW)
    assert await attempts.open_attempt(token_set()) == ATTEMPT

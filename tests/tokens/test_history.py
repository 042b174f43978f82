from __future__ import annotations

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.history import History
from jmap_proxy.tokens.losses import DAY, Loss
from jmap_proxy.tokens.refusal import Refusal
from tests.tokens.builders import NOW, MemoryStore, token_set

WEEK = Loss(NOW - 14 * DAY, NOW - 7 * DAY)


class BrokenStore(MemoryStore):
    """A store whose list of losses can be neither read nor written."""

    async def losses(self) -> list[Loss]:
        """Fail."""
        raise StoreError("alice.losses can be used by others")

    async def note_loss(self, loss: Loss) -> list[Loss]:
        """Fail."""
        raise StoreError(f"no room for {loss}")

    async def refusal(self) -> Refusal | None:
        """Fail."""
        raise StoreError("alice.refused can be used by others")

    async def note_refusal(self, refusal: Refusal) -> None:
        """Fail."""
        raise StoreError(f"no room for {refusal}")


async def test_the_first_loss_tells_nothing_and_the_second_the_next_date() -> None:
    """With the likely cause; from then on each sign-in's end is foretold."""
    store = MemoryStore(None)
    history = History(store)
    assert await history.note(token_set(signed_in_at=WEEK.signed_in_at), WEEK.lost_at) == ""
    assert await history.likely_end(token_set(signed_in_at=NOW), NOW) is None
    told = await history.note(token_set(signed_in_at=NOW - 7 * DAY), NOW)
    assert "after 7 days" in told
    assert told.endswith("Signed in now, the next end is likely on 2027-01-22")
    assert await history.likely_end(token_set(signed_in_at=NOW), NOW) == NOW + 7 * DAY


async def test_a_list_that_cannot_be_used_tells_nothing() -> None:
    """And stops nothing."""
    history = History(BrokenStore(None))
    assert await history.likely_end(token_set(signed_in_at=NOW), NOW) is None
    assert await history.note(token_set(), NOW) == ""
    await history.note_refusal(token_set(), "refused", NOW)
    assert await history.refusal(token_set()) is None


async def test_a_refusal_is_known_to_whoever_comes_later() -> None:
    """Of the tokens that were refused, and of no others."""
    store = MemoryStore(None)
    assert await History(store).refusal(token_set()) is None
    await History(store).note_refusal(token_set(), "refused", NOW)
    assert await History(store).refusal(token_set()) == Refusal.of(token_set(), "refused", NOW)
    assert await History(store).refusal(token_set(2)) is None

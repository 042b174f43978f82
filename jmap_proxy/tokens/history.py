"""Keeping the lost sign-ins of an account, and telling by them why one has ended and when the next one will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.losses import Loss, likely_cause, likely_end
from jmap_proxy.tokens.standing import clock_day

if TYPE_CHECKING:
    from jmap_proxy.tokens.store import TokenStore
    from jmap_proxy.tokens.tokenset import TokenSet


class History:
    """The lost sign-ins of one account. Where they cannot be read or written nothing is told, and nothing fails."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def likely_end(self, tokens: TokenSet, now: float) -> float | None:
        """Epoch seconds at which the sign-in of these tokens is likely to end, None if nothing is known."""
        try:
            return likely_end(await self._store.losses(), tokens.signed_in_at, now)
        except StoreError:
            return None

    async def note(self, tokens: TokenSet, now: float) -> str:
        """Note the loss of the sign-in of these tokens; the likely cause and the next date, "" if nothing is known."""
        try:
            losses = await self._store.note_loss(Loss(tokens.signed_in_at, now))
        except StoreError:
            return ""
        cause, end = likely_cause(losses), likely_end(losses, now, now)
        return f"{cause}. Signed in now, the next end is likely on {clock_day(end)}" if cause and end else cause

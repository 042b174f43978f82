"""Keeping the lost sign-ins of an account, and telling by them why one has ended and when the next one will."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.losses import Loss, likely_cause, likely_end
from jmap_proxy.tokens.refusal import Refusal
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

    async def refusal(self, tokens: TokenSet) -> Refusal | None:
        """Why these tokens cannot be renewed, if somebody has found that out before; None if nothing is known."""
        with contextlib.suppress(StoreError):
            refusal = await self._store.refusal()
            return refusal if refusal is not None and refusal.concerns(tokens) else None
        return None

    async def note_refusal(self, tokens: TokenSet, reason: str, now: float) -> None:
        """Note why these tokens cannot be renewed."""
        with contextlib.suppress(StoreError):
            await self._store.note_refusal(Refusal.of(tokens, reason, now))

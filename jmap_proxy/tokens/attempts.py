"""Keeping the journal of refreshes: in memory, and in the store for whoever comes after a crash."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from jmap_proxy.tokens.journal import Attempt
    from jmap_proxy.tokens.store import TokenStore
    from jmap_proxy.tokens.tokenset import TokenSet

log = structlog.get_logger("jmap_proxy.tokens")


class Attempts:
    """The latest refresh of one account whose outcome may be open; to be used with the store's lock held."""

    def __init__(self, account: str, store: TokenStore) -> None:
        self._account = account
        self._store = store
        self._open: Attempt | None = None

    async def open_attempt(self, tokens: TokenSet) -> Attempt | None:
        """The attempt that may have spent the refresh token of these, None if there is none."""
        if self._open is not None and self._open.concerns(tokens):
            return self._open
        attempt = None
        with contextlib.suppress(StoreError):  # a note that cannot be read must not stop the refresh
            attempt = await self._store.attempt()
        return attempt if attempt is not None and attempt.concerns(tokens) else None

    async def begin(self, attempt: Attempt) -> None:
        """The provider is about to be asked. Where the disk does not take the note, memory has it."""
        self._open = attempt
        try:
            await self._store.begin_attempt(attempt)
        except StoreError as error:
            log.warning("refresh goes without a journal", account=self._account, error=str(error), hint=error.hint)

    async def end(self) -> None:
        """The outcome is known, and is in the store as far as it changes something."""
        self._open = None
        with contextlib.suppress(StoreError):  # a note that stays only makes the next refresh more careful
            await self._store.end_attempt()

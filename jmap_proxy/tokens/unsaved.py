"""Tokens that the disk did not take: served from memory meanwhile, and written again until it takes them.

What is on the disk is spent then, and no other process may send it: the account's lock stays held until it is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens import backoff
from jmap_proxy.tokens.store import DamagedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from jmap_proxy.tokens.store import TokenStore
    from jmap_proxy.tokens.tokenset import TokenSet

PATIENCE = 5.0
"""Seconds that a write may take; a slow disk takes one or two."""

log = structlog.get_logger("jmap_proxy.tokens")


class UnsavedTokens:
    """The latest tokens of an account, as long as they are in memory only.

    Args:
        store: Where they belong.
        jitter: A random number in [0, 1) for the times between two tries.
        saved: Called when there is nothing left to be saved.
        sleep: Waits for so many seconds.
        patience: Seconds that a write may take until the tokens count as unsaved, `PATIENCE` at most.
    """

    def __init__(
        self,
        store: TokenStore,
        jitter: Callable[[], float],
        saved: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience: float = PATIENCE,
    ) -> None:
        self._store = store
        self._jitter = jitter
        self._saved = saved
        self._sleep = sleep
        self._patience = min(patience, PATIENCE)
        self._writing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._held: AsyncExitStack | None = None
        self.tokens: TokenSet | None = None

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the store's lock, one task at a time; it is let go of with the last tokens that are in memory only.

        Raises:
            StoreError: as the store's.
        """
        async with self._turn:
            if self._held is None:
                async with AsyncExitStack() as held:
                    await held.enter_async_context(self._store.lock())
                    self._held = held.pop_all()
            try:
                yield
            finally:
                if self.tokens is None:
                    await self._let_go()

    async def write(self, tokens: TokenSet) -> None:
        """Store these; to be called with the lock held.

        A write can hang: a keyring that has been locked waits for its user. It goes on then, and no other one begins
        before it has ended.

        Raises:
            StoreError: it takes too long, or an earlier one does. And whatever the store raises.
        """
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._store.save(tokens), name=f"write {tokens.account}")
            self._writing.add_done_callback(_look_at)
            done, _ = await asyncio.wait([self._writing], timeout=self._patience)
            if done:
                self._writing.result()
                return
        raise StoreError(
            "storing the tokens takes too long", hint="see that the disk answers, and that no keyring is locked"
        )

    def keep(self, tokens: TokenSet) -> None:
        """Try to save these from now on, instead of any earlier ones."""
        self.tokens = tokens
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._save_in_the_end(), name=f"save {tokens.account}")

    def drop(self) -> None:
        """Nothing is left to be saved."""
        self.tokens = None

    async def wait_saved(self) -> None:
        """Wait until there is nothing left to be saved."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Stop trying, after one more try."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=self._patience)
        if self.tokens is not None and not await self._save():
            log.error("the latest tokens are lost", account=self.tokens.account)
        async with self._turn:
            await self._let_go()

    async def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await held.aclose()

    async def _save_in_the_end(self) -> None:
        failures = 0
        while True:
            failures += 1
            await self._sleep(backoff.delay(failures, self._jitter(), None))
            if await self._save():
                return

    async def _save(self) -> bool:
        """Whether the tokens are where they belong now, or have been overtaken by another process's.

        They are picked with the lock held: a refresh that held it before may have brought newer ones.
        """
        try:
            async with self.lock():
                if self.tokens is not None:
                    await self._write(self.tokens)
                    self.tokens = None
                    self._saved()
        except Exception:  # noqa: BLE001 - whatever it is, it is tried again; what it was has been told before
            return False
        return True

    async def _write(self, tokens: TokenSet) -> None:
        """Save them, unless the account was signed out or in by somebody who did not wait for the lock."""
        try:
            stored = await self._store.load()
        except DamagedError:
            stored = tokens
        if stored is not None and not stored.supersedes(tokens):
            await self.write(tokens)


def _look_at(write: asyncio.Task[None]) -> None:
    """What became of a write that nobody has waited for to the end; the next one tells."""
    if not write.cancelled():
        write.exception()

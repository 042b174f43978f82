"""TokenRefresher: keeps one account's token valid for any number of concurrent requests.

One refresh at a time, as one task that all waiters share and none can cancel (`asyncio.wait` leaves it alone, as
`asyncio.shield` would): a waiter that goes away hurts nobody. The task writes the new tokens to disk before any
waiter sees them. With a valid token no lock is taken and nothing is read or written. What a refresh does is in
`renewal`; here is who starts it, and who waits for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import StoreError, UpstreamRefusedToken
from jmap_proxy.tokens.backoff import CoolDown
from jmap_proxy.tokens.decision import PATIENCE, Step, decide, longest_wait
from jmap_proxy.tokens.outcome import Outcome, Transient
from jmap_proxy.tokens.renewal import Renewal
from jmap_proxy.tokens.standing import Standing
from jmap_proxy.tokens.unsaved import UnsavedTokens
from jmap_proxy.tokens.window import Freshness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jmap_proxy.errors import JmapProxyError
    from jmap_proxy.tokens.journal import Replay
    from jmap_proxy.tokens.report import TokenReport
    from jmap_proxy.tokens.store import TokenStore
    from jmap_proxy.tokens.tokenset import TokenSet

LAST_TURN = 1.0
"""Seconds that a refresh is given at the end to get the lock, with which it goes on to its own end."""

TICK = 0.05
"""Seconds by which a timer and the wall clock may differ."""

log = structlog.get_logger("jmap_proxy.tokens")


class TokenRefresher:
    """The token's life of one account. Use `create_token_refresher` to make one.

    Args:
        account: Name of the account, for messages.
        store: Where the tokens are kept.
        grant: Asks the token endpoint for new tokens (RFC 6749 §6); never raises.
        clock: Epoch seconds.
        jitter: A random number in [0, 1) for back-off.
        patience: Seconds that a caller waits for the shared refresh at most.
        replay: What the provider does about a refresh token that comes twice.
        lost: Called with the sign-in's id and the reason when it is found to be lost; other processes find it too.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        account: str,
        store: TokenStore,
        grant: Callable[[TokenSet], Awaitable[Outcome]],
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        patience: float = PATIENCE,
        replay: Replay = "strict",
        lost: Callable[[str, str], None] = lambda _sign_in_id, _reason: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._store = store
        self._clock = clock
        self._jitter = jitter
        self._patience = patience
        self._sleep = sleep
        self._standing = Standing(account)
        self._unsaved = UnsavedTokens(store, jitter, self._standing.clear_error, patience=patience / 2)
        self._renewal = Renewal(
            account, store, grant, self._standing, self._unsaved, clock=clock, replay=replay, lost=lost
        )
        self._cool_down = CoolDown()
        self._in_line = False
        self._task: asyncio.Task[None] | None = None
        self._overdue: asyncio.Task[None] | None = None
        self._replay: asyncio.Task[None] | None = None

    @property
    def sign_in_id(self) -> str:
        """Of the sign-in whose tokens are in use, "" if there are none."""
        return self._standing.sign_in_id

    async def ensure_valid_token(self) -> str:
        """An access token that is valid now; refreshes it first where that is due.

        Raises:
            SignInNeeded: the sign-in is gone.
            StoreError: the stored tokens cannot be used.
            TokenDelayed: the provider does not give a token in time; carries Retry-After.
        """
        return self.token_now() or await self._ensure_slowly()

    def token_now(self) -> str | None:
        """The access token while nothing is to be done for it; None where `ensure_valid_token` is to be asked."""
        tokens = self._standing.tokens
        window = self._standing.window
        if tokens is not None and window.since <= self._clock() < window.soft_at:
            return tokens.access_token
        return None

    async def replace_rejected(self, rejected: str) -> str:
        """A token to use instead of one that the server answered 401 to.

        Refreshes only if the current token is still the rejected one: of many requests that were refused together,
        the first one refreshes and the others find the new token.

        Raises:
            SignInNeeded, StoreError, TokenDelayed: as `ensure_valid_token`.
            UpstreamRefusedToken: the server refuses fresh tokens too, so another one would not help now.
        """
        if self._standing.is_current(rejected):
            if self._cool_down.holds(self._clock()):
                raise self._refused_error()
            self._renewal.refused = rejected
            generation = self._standing.generation
            await self._join(self._start())
            if self._standing.is_current(rejected):
                # A provider that gives the same token again: another request would not get a better one.
                renewed = self._standing.generation != generation
                raise self.refused_again(rejected) if renewed else self._failure()
        return await self.ensure_valid_token()

    def refused_again(self, token: str) -> UpstreamRefusedToken:
        """Note that the server refused even the token that replaced a rejected one; the error for the client.

        A 401 that a new token does not mend (a missing permission) must not cause refreshes without end.
        """
        now = self._clock()
        if self._standing.is_current(token) and not self._cool_down.holds(now):
            self._cool_down.begin(now)
            log.warning("server refuses a fresh token", account=self._account, cool_down=self._cool_down.seconds)
        return self._refused_error()

    def report(self) -> TokenReport:
        """How the account is doing; holds no secret."""
        return self._standing.report(self._clock(), unsaved=self.has_unsaved)

    @property
    def has_unsaved(self) -> bool:
        """Whether the latest tokens are in memory only, whatever else is wrong."""
        return self._unsaved.tokens is not None

    @property
    def tokens(self) -> TokenSet | None:
        """The current tokens, None if there are none."""
        return self._standing.tokens

    async def renew(self) -> None:
        """Renew the tokens now, whoever needs them. Never raises; a failure is reported as any."""
        await asyncio.wait([self._start()])

    async def start(self) -> None:
        """Take up what the store holds, without asking the provider; a store that cannot be read is reported."""
        try:
            stored = await self._store.load()
        except StoreError as error:
            self._standing.be_unreadable(error, self._clock())
        else:
            if stored is not None:
                await self._renewal.take_up(stored)
                await self._renewal.recall(stored)
                await self._resume(stored)

    async def _resume(self, stored: TokenSet) -> None:
        """Ask at once for an answer that was lost when this process' predecessor died, while it may be had."""
        if await self._renewal.may_replay(stored):
            self._start()

    async def look(self) -> None:
        """Take up what another process has stored, be it a sign-in or a sign-out; asks nobody. Raises StoreError."""
        tokens = self._standing.tokens
        stored = await self._store.load()
        if self._standing.tokens is not tokens:
            return  # what was read may be older than what has come meanwhile
        if stored is None and tokens is not None:
            self._renewal.forget()
        elif stored is not None and self._renewal.is_news(stored):
            await self._renewal.take_up(stored)

    async def wait_saved(self) -> None:
        """Wait until a refresh that is under way has ended and nothing is in memory only."""
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._unsaved.wait_saved()

    async def close(self) -> None:
        """Let a refresh that is under way come to its end, and try once more to save what could not be saved.

        One that does not get the lock has asked nobody, and is given up.
        """
        self._drop_replay()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=min(LAST_TURN, self._patience))
            if self._in_line:
                self._task.cancel()
            await asyncio.wait([self._task])
            self._drop_replay()  # of the refresh that has just ended
        await self._unsaved.close()

    async def _ensure_slowly(self) -> str:
        standing, now = self._standing, self._clock()
        holds = standing.holds(now)
        step = decide(standing.freshness(now), renewable=standing.renewable, backing_off=holds)
        if step is Step.USE_AND_REFRESH:
            self._start()
        elif step is Step.WAIT:
            task = self._start()
            # while there is something to send, nobody waits for what somebody has already waited for in vain
            if task is not self._overdue or standing.freshness(now) is Freshness.EXPIRED:
                await self._join(task)
        if standing.tokens is None or standing.freshness(self._clock()) is Freshness.EXPIRED:
            raise self._failure()
        return standing.tokens.access_token

    async def _join(self, task: asyncio.Task[None]) -> None:
        """Wait for the shared refresh, `patience` seconds at most; the caller looks at what came of it."""
        patience = longest_wait(self._standing.freshness(self._clock()), self._patience)
        done, _ = await asyncio.wait([task], timeout=patience)
        if not done:
            self._overdue = task

    def _start(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._refresh(self._standing.tokens), name=f"refresh {self._account}")
        return self._task

    async def _refresh(self, before: TokenSet | None) -> None:
        """The shared task, which renews these tokens. Never raises; what came of it is in the standing."""
        store_error = None
        self._in_line = True
        try:
            async with self._unsaved.lock():
                self._in_line = False
                outcome = await self._renewal.renew(before)
        except StoreError as error:
            if self._standing.tokens is None:
                self._standing.be_unreadable(error, self._clock())
                return
            store_error = error
            outcome = Transient(str(error), error.retry_after)
        except Exception as error:  # a task that died silently would leave the waiters without a reason
            log.exception("refresh failed in an unforeseen way", account=self._account)
            outcome = Transient(f"unforeseen: {type(error).__name__}")
        finally:
            self._renewal.refused = ""
            self._in_line = False
        if isinstance(outcome, Transient):
            wait = self._standing.fail(outcome, self._clock(), self._jitter(), store_error)
            await self._replay_in(wait)

    async def _replay_in(self, seconds: float) -> None:
        """Ask again by itself, where an answer was lost and can still be had then; no request may come in that time."""
        tokens = self._standing.tokens
        if tokens is not None and await self._renewal.may_replay(tokens, in_seconds=seconds):
            self._drop_replay()
            self._replay = asyncio.create_task(self._start_in(seconds), name=f"replay {self._account}")

    async def _start_in(self, seconds: float) -> None:
        await self._sleep(seconds + TICK)
        self._start()

    def _drop_replay(self) -> None:
        if self._replay is not None:
            self._replay.cancel()

    def _failure(self) -> JmapProxyError:
        """Why there is no token to give."""
        if self._in_line and self._task is self._overdue:
            return StoreError(
                f"account {self._account!r}: another process holds the lock of its tokens",
                hint="if that does not pass, see whether another jmap-proxy hangs, or cannot save its tokens",
                retry_after=1.0,
            )
        asking = self._task is not None and not self._task.done()
        return self._standing.failure(self._clock(), asking=asking)

    def _refused_error(self) -> UpstreamRefusedToken:
        return UpstreamRefusedToken(
            f"account {self._account!r}: the server answers 401 even to a fresh token",
            hint="compare the account's scopes, resource and issuer with what the server wants",
        )


async def create_token_refresher(
    account: str,
    store: TokenStore,
    grant: Callable[[TokenSet], Awaitable[Outcome]],
    *,
    clock: Callable[[], float] = time.time,
    jitter: Callable[[], float] = random.random,
    patience: float = PATIENCE,
    replay: Replay = "strict",
    lost: Callable[[str, str], None] = lambda _sign_in_id, _reason: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> TokenRefresher:
    """A refresher that has taken up what the store holds; the arguments are those of `TokenRefresher`.

    An account that is not signed in, or whose file cannot be read, gives a refresher that says so.
    """
    refresher = TokenRefresher(
        account, store, grant, clock=clock, jitter=jitter, patience=patience, replay=replay, lost=lost, sleep=sleep
    )
    await refresher.start()
    return refresher

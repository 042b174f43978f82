"""TokenRefresher: keeps one account's token valid for any number of concurrent requests.

One refresh at a time, as one task that all waiters share and none can cancel (`asyncio.wait` leaves it alone, as
`asyncio.shield` would): a waiter that goes away hurts nobody. The task writes the new tokens to disk before any
waiter sees them. With a valid token no lock is taken and nothing is read or written.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import JmapProxyError, SignInNeeded, StoreError, TokenDelayed, UpstreamRefusedToken
from jmap_proxy.tokens import backoff
from jmap_proxy.tokens.decision import Step, decide
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient
from jmap_proxy.tokens.report import State, TokenReport
from jmap_proxy.tokens.unsaved import UnsavedTokens
from jmap_proxy.tokens.window import Freshness, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jmap_proxy.tokens.store import TokenStore
    from jmap_proxy.tokens.tokenset import TokenSet

PATIENCE = 4.0
"""Seconds that a request waits for the identity provider; clients give up after 5 (measured: mujmap, himalaya)."""

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
        sleep: Waits for so many seconds, between two tries to save what the disk does not take.
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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._store = store
        self._grant = grant
        self._clock = clock
        self._jitter = jitter
        self._patience = patience
        self._tokens: TokenSet | None = None
        self._window = Window(0.0, 0.0, 0.0)
        self._task: asyncio.Task[None] | None = None
        self._refused = ""
        self._lost: JmapProxyError | None = SignInNeeded(account, "not signed in")
        self._lost_refresh_token: str | None = None
        self._back_off = backoff.BackOff()
        self._cool_down = backoff.CoolDown()
        self._unsaved = UnsavedTokens(store, jitter, sleep)
        self._store_error: StoreError | None = None
        self._overdue: asyncio.Task[None] | None = None
        self._last_error = ""
        self._last_error_at: float | None = None

    async def ensure_valid_token(self) -> str:
        """An access token that is valid now; refreshes it first where that is due.

        Raises:
            SignInNeeded: the sign-in is gone.
            TokenDelayed: the provider does not give a token in time; carries Retry-After.
        """
        tokens = self._tokens
        if tokens is not None and self._clock() < self._window.soft_at:
            return tokens.access_token
        return await self._ensure_slowly()

    async def replace_rejected(self, rejected: str) -> str:
        """A token to use instead of one that the server answered 401 to.

        Refreshes only if the current token is still the rejected one: of many requests that were refused together,
        the first one refreshes and the others find the new token.

        Raises:
            SignInNeeded, TokenDelayed: as `ensure_valid_token`.
            UpstreamRefusedToken: the server refuses fresh tokens too, so another one would not help now.
        """
        if self._current_is(rejected):
            if self._cool_down.holds(self._clock()):
                raise self._refused_error()
            self._refused = rejected
            generation = self._generation
            await self._join(self._start())
            if self._current_is(rejected):
                # A provider that gives the same token again: another request would not get a better one.
                renewed = self._generation != generation
                raise self.refused_again(rejected) if renewed else self._failure()
        return await self.ensure_valid_token()

    def refused_again(self, token: str) -> UpstreamRefusedToken:
        """Note that the server refused even the token that replaced a rejected one; the error for the client.

        A 401 that a new token does not mend (a missing permission) must not cause refreshes without end.
        """
        now = self._clock()
        if self._current_is(token) and not self._cool_down.holds(now):
            self._cool_down.begin(now)
            log.warning("server refuses a fresh token", account=self._account, cool_down=self._cool_down.seconds)
        return self._refused_error()

    def report(self) -> TokenReport:
        """How the account is doing; holds no secret."""
        tokens = self._tokens
        due = max(self._window.soft_at, self._back_off.until)
        return TokenReport(
            state=self._state(),
            issuer=tokens.issuer if tokens else "",
            generation=self._generation,
            obtained_at=tokens.obtained_at if tokens else None,
            expires_at=tokens.expires_at if tokens else None,
            next_refresh_at=due if tokens and tokens.refresh_token and self._lost is None else None,
            last_error=self._last_error,
            last_error_at=self._last_error_at,
        )

    async def start(self) -> None:
        """Take up what the store holds, without asking the provider; a store that cannot be read is reported."""
        try:
            stored = await self._store.load()
        except StoreError as error:
            self._note_unreadable(error)
        else:
            if stored is not None:
                self._adopt(stored)

    async def look(self) -> None:
        """Take up what another process has stored, be it a sign-in or a sign-out; asks nobody."""
        tokens = self._tokens
        try:
            stored = await self._store.load()
        except StoreError:
            return  # told when the tokens are needed
        if self._tokens is not tokens:
            return  # what was read may be older than what has come meanwhile
        if stored is None and tokens is not None:
            self._forget()
        elif stored is not None and self._is_news(stored):
            self._adopt(stored)

    async def close(self) -> None:
        """Let a refresh that is under way come to its end, and try once more to save what could not be saved."""
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._unsaved.close()

    async def _ensure_slowly(self) -> str:
        now = self._clock()
        freshness = self._window.freshness(now) if self._tokens else Freshness.EXPIRED
        step = decide(freshness, renewable=self._lost is None, backing_off=self._back_off.holds(now))
        if step is Step.USE_AND_REFRESH:
            self._start()
        elif step is Step.WAIT:
            await self._join(self._start())
        if self._tokens is None or self._clock() >= self._window.expires_at:
            raise self._failure()
        return self._tokens.access_token

    async def _join(self, task: asyncio.Task[None]) -> None:
        """Wait for the shared refresh; the caller looks at what came of it.

        `patience` seconds at most, and not at all once somebody has waited for this one that long in vain.
        """
        if task is self._overdue:
            return
        done, _ = await asyncio.wait([task], timeout=self._patience)
        if not done:
            self._overdue = task

    def _start(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._refresh(), name=f"refresh {self._account}")
        return self._task

    async def _refresh(self) -> None:
        """The shared task. Never raises; what came of it is in the state."""
        try:
            async with self._store.lock():
                outcome = await self._refresh_locked()
        except StoreError as error:
            if self._tokens is None:
                self._note_unreadable(error)
                return
            self._store_error = error
            outcome = Transient(str(error), error.retry_after)
        except Exception as error:  # a task that died silently would leave the waiters without a reason
            log.exception("refresh failed in an unforeseen way", account=self._account)
            outcome = Transient(f"unforeseen: {type(error).__name__}")
        finally:
            self._refused = ""
        if isinstance(outcome, Transient):
            self._note_transient(outcome)

    async def _refresh_locked(self) -> Outcome | None:
        """With the lock held: adopt what another process has stored, or ask the provider. None: not asked."""
        stored = await self._store.load()
        self._store_error = None
        if stored is None:
            self._forget()
            return None
        if self._is_news(stored):
            self._adopt(stored)
            if self._window.freshness(self._clock()) in (Freshness.FRESH, Freshness.AGEING):
                return None
        tokens = stored if self._tokens is None or stored.supersedes(self._tokens) else self._tokens
        if not tokens.refresh_token:
            self._note_lost("the token is of no use any more and the provider gave no refresh token", refresh_token="")
            return None
        gone = self._lost is not None and tokens.refresh_token == self._lost_refresh_token
        if gone or self._back_off.holds(self._clock()):
            return None
        asked_at = self._clock()  # before, since the life may be counted from any moment after
        outcome = await self._grant(tokens)
        if isinstance(outcome, Refreshed):
            await self._keep(tokens.renewed(outcome, obtained_at=asked_at))
            if self._window.freshness(self._clock()) is Freshness.EXPIRED:
                return Transient("the new token had expired when it came")
        elif isinstance(outcome, Rejected):
            await self._confirm_rejection(tokens, outcome)
        return outcome

    def _is_news(self, stored: TokenSet) -> bool:
        return stored.supersedes(self._tokens) and stored.access_token != self._refused

    async def _keep(self, renewed: TokenSet) -> None:
        """Store the new tokens, then show them. If the disk does not take them they are served from memory."""
        try:
            await self._store.save(renewed)
        except Exception as error:  # noqa: BLE001 - whatever it is, a rotated refresh token must not be thrown away with it
            hint = error.hint if isinstance(error, StoreError) else ""
            told = str(error) if isinstance(error, StoreError) else f"unforeseen: {type(error).__name__}"
            self._adopt(renewed)
            self._unsaved.keep(renewed)
            self._note_error(told)
            log.error("new tokens are not saved", account=self._account, error=told, hint=hint)
            return
        self._adopt(renewed)
        log.info("token refreshed", account=self._account, generation=renewed.generation)

    async def _confirm_rejection(self, tried: TokenSet, outcome: Rejected) -> None:
        """A refusal counts only if the store still holds the refused refresh token."""
        stored = await self._store.load()
        if stored is not None and stored.refresh_token != tried.refresh_token and self._is_news(stored):
            self._adopt(stored)
            return
        reason = f"the provider refused the refresh token ({outcome.error})"
        self._note_lost(reason, refresh_token=tried.refresh_token)

    def _adopt(self, tokens: TokenSet) -> None:
        self._tokens = tokens
        self._window = Window.of(tokens)
        self._lost = None
        self._back_off = backoff.BackOff()
        self._unsaved.drop()
        self._store_error = None
        self._last_error = ""
        self._last_error_at = None

    def _forget(self) -> None:
        """Another process has signed the account out."""
        self._tokens = None
        self._unsaved.drop()
        self._note_lost("not signed in", refresh_token=None)

    def _note_lost(self, reason: str, *, refresh_token: str | None) -> None:
        if self._lost is None:
            log.error("sign-in needed", account=self._account, reason=reason)
        self._lost = SignInNeeded(self._account, reason)
        self._lost_refresh_token = refresh_token
        self._note_error(reason)

    def _note_unreadable(self, error: StoreError) -> None:
        """The store cannot be read and there is nothing in memory: what the file needs, the user must do."""
        if self._last_error != str(error):
            log.error("store unreadable", account=self._account, error=str(error), hint=error.hint)
        self._lost = error
        self._lost_refresh_token = None
        self._note_error(str(error))

    def _note_transient(self, outcome: Transient) -> None:
        wait = self._back_off.fail(self._clock(), self._jitter(), outcome.retry_after)
        self._note_error(outcome.reason)
        log.warning("refresh failed, will retry", account=self._account, reason=outcome.reason, wait=round(wait, 1))

    def _note_error(self, reason: str) -> None:
        self._last_error = reason
        self._last_error_at = self._clock()

    @property
    def _generation(self) -> int:
        return self._tokens.generation if self._tokens else 0

    def _current_is(self, access_token: str) -> bool:
        return self._tokens is not None and self._tokens.access_token == access_token

    def _failure(self) -> JmapProxyError:
        """Why there is no token."""
        if self._lost is not None and (self._task is None or self._task.done()):
            return self._lost.anew()
        if self._store_error is not None:
            return self._store_error.anew()
        wait = max(1.0, self._back_off.until - self._clock())
        reason = self._last_error or "no answer yet"
        return TokenDelayed(
            f"account {self._account!r}: no token from the identity provider: {reason}",
            hint="it is tried again by itself; jmap-proxy status tells more",
            retry_after=wait,
        )

    def _refused_error(self) -> UpstreamRefusedToken:
        return UpstreamRefusedToken(
            f"account {self._account!r}: the server answers 401 even to a fresh token",
            hint="compare the account's scopes, resource and issuer with what the server wants",
        )

    def _state(self) -> State:
        if isinstance(self._lost, StoreError):
            return State.STORE_ERROR
        if self._lost is not None:
            return State.NEEDS_LOGIN
        if self._back_off.failures:
            return State.RETRYING
        return State.UNSAVED if self._unsaved.tokens else State.OK


async def create_token_refresher(
    account: str,
    store: TokenStore,
    grant: Callable[[TokenSet], Awaitable[Outcome]],
    *,
    clock: Callable[[], float] = time.time,
    jitter: Callable[[], float] = random.random,
    patience: float = PATIENCE,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> TokenRefresher:
    """A refresher that has taken up what the store holds; the arguments are those of `TokenRefresher`.

    An account that is not signed in, or whose file cannot be read, gives a refresher that says so.
    """
    refresher = TokenRefresher(account, store, grant, clock=clock, jitter=jitter, patience=patience, sleep=sleep)
    await refresher.start()
    return refresher

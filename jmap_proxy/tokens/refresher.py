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

from jmap_proxy.errors import StoreError, UpstreamRefusedToken
from jmap_proxy.tokens.attempts import Attempts
from jmap_proxy.tokens.backoff import CoolDown
from jmap_proxy.tokens.decision import Step, decide
from jmap_proxy.tokens.history import History
from jmap_proxy.tokens.journal import Attempt, may_ask, may_replay
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient
from jmap_proxy.tokens.standing import Standing, clock_time
from jmap_proxy.tokens.store import DamagedError
from jmap_proxy.tokens.unsaved import UnsavedTokens
from jmap_proxy.tokens.window import Freshness, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jmap_proxy.errors import JmapProxyError
    from jmap_proxy.tokens.journal import Replay
    from jmap_proxy.tokens.report import TokenReport
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
        replay: What the provider does about a refresh token that comes twice.
        lost: Called with the sign-in's id and the reason when it is found to be lost; other processes find it too.
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
    ) -> None:
        self._account = account
        self._store = store
        self._grant = grant
        self._clock = clock
        self._jitter = jitter
        self._patience = patience
        self._replay: Replay = replay
        self._lost = lost
        self._standing = Standing(account)
        self._unsaved = UnsavedTokens(store, jitter, self._standing.clear_error)
        self._attempts = Attempts(account, store)
        self._history = History(store)
        self._cool_down = CoolDown()
        self._refused = ""
        self._task: asyncio.Task[None] | None = None
        self._overdue: asyncio.Task[None] | None = None

    @property
    def sign_in_id(self) -> str:
        """Of the sign-in whose tokens are in use, "" if there are none."""
        tokens = self._standing.tokens
        return tokens.sign_in_id if tokens is not None else ""

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
            self._refused = rejected
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
        return self._standing.report(self._clock(), unsaved=self._unsaved.tokens is not None)

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
                await self._take_up(stored)
                await self._resume(stored)

    async def _resume(self, stored: TokenSet) -> None:
        """Ask at once for an answer that was lost when this process' predecessor died, while it may be had."""
        attempt = await self._attempts.open_attempt(stored)
        if attempt is not None and may_replay(attempt, self._replay, self._clock()):
            self._start()

    async def look(self) -> None:
        """Take up what another process has stored, be it a sign-in or a sign-out; asks nobody. Raises StoreError."""
        tokens = self._standing.tokens
        stored = await self._store.load()
        if self._standing.tokens is not tokens:
            return  # what was read may be older than what has come meanwhile
        if stored is None and tokens is not None:
            self._forget()
        elif stored is not None and self._is_news(stored):
            await self._take_up(stored)

    async def wait_saved(self) -> None:
        """Wait until a refresh that is under way has ended and nothing is in memory only."""
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._unsaved.wait_saved()

    async def close(self) -> None:
        """Let a refresh that is under way come to its end, and try once more to save what could not be saved."""
        if self._task is not None:
            await asyncio.wait([self._task])
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
        done, _ = await asyncio.wait([task], timeout=self._patience)
        if not done:
            self._overdue = task

    def _start(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._refresh(), name=f"refresh {self._account}")
        return self._task

    async def _refresh(self) -> None:
        """The shared task. Never raises; what came of it is in the standing."""
        store_error = None
        try:
            async with self._unsaved.lock():
                outcome = await self._refresh_locked()
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
            self._refused = ""
        if isinstance(outcome, Transient):
            self._standing.fail(outcome, self._clock(), self._jitter(), store_error)

    async def _refresh_locked(self) -> Outcome | None:
        """With the lock held: adopt what another process has stored, or ask the provider. None: not asked."""
        stored = await self._stored()
        if stored is None:
            self._forget()
            return None
        if self._is_news(stored):
            await self._take_up(stored)
            if self._standing.freshness(self._clock()) in (Freshness.FRESH, Freshness.AGEING):
                return None
        current = self._standing.tokens
        tokens = stored if current is None or stored.supersedes(current) else current
        if not tokens.renewable:
            self._lose("the token is of no use any more and the provider gave no refresh token", tokens)
            return None
        if self._standing.is_refused(tokens.refresh_token) or self._standing.back_off.holds(self._clock()):
            return None
        return await self._ask(tokens)

    async def _ask(self, tokens: TokenSet) -> Outcome | None:
        """Ask the provider, unless an answer that was lost before speaks against it."""
        attempt, now = await self._attempts.open_attempt(tokens), self._clock()
        refused = tokens.access_token == self._refused
        freshness = Window.of(tokens).freshness(now)
        if attempt is not None and not may_ask(attempt, tokens, self._replay, freshness, now, refused=refused):
            self._standing.wait_for_the_end(attempt.asked_at, now)
            return None
        outcome = await self._request(tokens, attempt)
        if isinstance(outcome, Transient) and outcome.answer_lost:
            attempt = await self._attempts.open_attempt(tokens)
            if attempt is not None and may_replay(attempt, self._replay, self._clock()):
                outcome = await self._request(tokens, attempt)
        if isinstance(outcome, Rejected):
            await self._confirm_rejection(tokens, outcome, attempt)
        elif isinstance(outcome, Refreshed) and self._standing.freshness(self._clock()) is Freshness.EXPIRED:
            return Transient("the new token had expired when it came")
        return outcome

    async def _request(self, tokens: TokenSet, earlier: Attempt | None) -> Outcome:
        """One request to the provider, noted beforehand; new tokens are kept.

        An `earlier` attempt whose answer was lost stays the one that is noted, until there are new tokens: it may have
        spent the refresh token, and explains a refusal to whoever is refused again after a restart.
        """
        asked_at = self._clock()  # before, since the life may be counted from any moment after
        await self._attempts.begin(earlier or Attempt.of(tokens, asked_at))
        outcome = await self._grant(tokens)
        self._standing.compare_clocks(outcome.provider_time, asked_at, self._clock())
        if isinstance(outcome, Refreshed):
            known = await self._keep(tokens.renewed(outcome, obtained_at=asked_at))
        else:
            known = earlier is None and not (isinstance(outcome, Transient) and outcome.answer_lost)
        if known:
            await self._attempts.end()
        return outcome

    async def _keep(self, renewed: TokenSet) -> bool:
        """Store the new tokens, then show them. If the disk does not take them they are served from memory.

        Returns:
            Whether they are stored.
        """
        try:
            await self._store.save(renewed)
        except Exception as error:  # noqa: BLE001 - whatever it is, a rotated refresh token must not be thrown away
            hint = error.hint if isinstance(error, StoreError) else ""
            told = str(error) if isinstance(error, StoreError) else f"unforeseen: {type(error).__name__}"
            self._adopt(renewed)
            self._unsaved.keep(renewed)
            self._standing.note(told, self._clock())
            log.error("new tokens are not saved", account=self._account, error=told, hint=hint)
            return False
        self._adopt(renewed)
        log.info("token refreshed", account=self._account, generation=renewed.generation)
        return True

    async def _confirm_rejection(self, tried: TokenSet, outcome: Rejected, attempt: Attempt | None) -> None:
        """A refusal counts only if the store still holds the refused refresh token.

        Args:
            tried: Whose refresh token was refused.
            outcome: The refusal.
            attempt: An earlier one whose answer was lost, None if there was none.
        """
        stored = await self._stored()
        if stored is not None and stored.refresh_token != tried.refresh_token and self._is_news(stored):
            await self._take_up(stored)
            return
        reason = f"the provider refused the refresh token ({outcome.error})"
        if attempt is not None:
            reason += f": the answer of {clock_time(attempt.asked_at)} was lost, and it was spent then"
        elif cause := await self._history.note(tried, self._clock()):
            reason += f": {cause}"
        self._lose(reason, tried)

    def _lose(self, reason: str, tokens: TokenSet) -> None:
        if self._standing.lose(reason, tokens.refresh_token, self._clock()):
            self._lost(tokens.sign_in_id, reason)

    async def _stored(self) -> TokenSet | None:
        """What is stored; the tokens in memory stand in for a damaged file, which the next ones replace."""
        try:
            return await self._store.load()
        except DamagedError:
            if self._standing.tokens is None:
                raise
            return self._standing.tokens

    def _is_news(self, stored: TokenSet) -> bool:
        return stored.supersedes(self._standing.tokens) and stored.access_token != self._refused

    async def _take_up(self, tokens: TokenSet) -> None:
        """As `_adopt`, for tokens of a sign-in that may be new here."""
        before = self.sign_in_id
        self._adopt(tokens)
        if tokens.sign_in_id != before:
            self._standing.likely_end_at = await self._history.likely_end(tokens, self._clock())

    def _adopt(self, tokens: TokenSet) -> None:
        self._standing.adopt(tokens)
        self._unsaved.drop()

    def _forget(self) -> None:
        """Another process has signed the account out."""
        self._standing.forget(self._clock())
        self._unsaved.drop()

    def _failure(self) -> JmapProxyError:
        """Why there is no token to give."""
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
) -> TokenRefresher:
    """A refresher that has taken up what the store holds; the arguments are those of `TokenRefresher`.

    An account that is not signed in, or whose file cannot be read, gives a refresher that says so.
    """
    refresher = TokenRefresher(
        account, store, grant, clock=clock, jitter=jitter, patience=patience, replay=replay, lost=lost
    )
    await refresher.start()
    return refresher

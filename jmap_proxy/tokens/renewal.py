"""What is done about an account's tokens with its lock held: read → adopt what is newer, or ask the provider → write.

The caller sees to the lock, and to it that one refresh runs at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.attempts import Attempts
from jmap_proxy.tokens.history import History
from jmap_proxy.tokens.journal import Attempt, may_ask, may_replay
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient
from jmap_proxy.tokens.standing import Standing, clock_time
from jmap_proxy.tokens.store import DamagedError
from jmap_proxy.tokens.window import Freshness, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jmap_proxy.tokens.journal import Replay
    from jmap_proxy.tokens.store import TokenStore
    from jmap_proxy.tokens.tokenset import TokenSet
    from jmap_proxy.tokens.unsaved import UnsavedTokens

log = structlog.get_logger("jmap_proxy.tokens")


class Renewal:
    """Gets the next generation of one account's tokens, and keeps its standing up to date.

    Args:
        account: Name of the account, for messages.
        store: Where the tokens are kept.
        grant: Asks the token endpoint for new tokens; never raises.
        standing: Shows what comes of it.
        unsaved: Keeps what the store does not take.
        clock: Epoch seconds.
        replay: What the provider does about a refresh token that comes twice.
        lost: Called with the sign-in's id and the reason when it is found to be lost.

    Attributes:
        refused: An access token that the server has refused, "" if there is none: it is as good as expired.
    """

    def __init__(
        self,
        account: str,
        store: TokenStore,
        grant: Callable[[TokenSet], Awaitable[Outcome]],
        standing: Standing,
        unsaved: UnsavedTokens,
        *,
        clock: Callable[[], float],
        replay: Replay,
        lost: Callable[[str, str], None],
    ) -> None:
        self._account = account
        self._store = store
        self._grant = grant
        self._standing = standing
        self._unsaved = unsaved
        self._clock = clock
        self._replay: Replay = replay
        self._lost = lost
        self._attempts = Attempts(account, store)
        self._history = History(store)
        self.refused = ""

    def is_news(self, stored: TokenSet) -> bool:
        """Whether what is stored is to be used instead of what is in memory."""
        return stored.supersedes(self._standing.tokens) and stored.access_token != self.refused

    async def take_up(self, tokens: TokenSet) -> None:
        """Use these, which may be of a sign-in that is new here."""
        before = self._standing.sign_in_id
        self._adopt(tokens)
        if tokens.sign_in_id != before:
            self._standing.likely_end_at = await self._history.likely_end(tokens, self._clock())

    async def recall(self, tokens: TokenSet) -> None:
        """Tell what was found about these before this process began: that the provider does not renew them.

        It is asked once more all the same when they have expired: whoever runs it may have mended something.
        """
        refusal = await self._history.refusal(tokens)
        if refusal is not None and self._standing.lose(refusal.reason, None, refusal.refused_at):
            self._lost(tokens.sign_in_id, refusal.reason)

    def forget(self) -> None:
        """Another process has signed the account out."""
        self._standing.forget(self._clock())
        self._unsaved.drop()

    async def may_replay(self, tokens: TokenSet, in_seconds: float = 0.0) -> bool:
        """Whether an answer that would have renewed these was lost, and may be had by asking then."""
        attempt = await self._attempts.open_attempt(tokens)
        return attempt is not None and may_replay(attempt, self._replay, self._clock() + in_seconds)

    async def renew(self, before: TokenSet | None) -> Outcome | None:
        """With the lock held: adopt what another process has stored, or ask the provider.

        Args:
            before: The tokens that were to be renewed when the lock was asked for; others may have come meanwhile.

        Returns:
            What the provider said, None if it was not asked.
        """
        stored = await self._stored()
        if stored is None:
            self.forget()
            return None
        if self.is_news(stored):
            await self.take_up(stored)
        current = self._standing.tokens
        if current is not before and not self._is_due(current):
            return None
        tokens = stored if current is None or stored.supersedes(current) else current
        if not tokens.renewable:
            self._lose("the token is of no use any more and the provider gave no refresh token", tokens)
            return None
        if self._standing.is_refused(tokens.refresh_token) or self._standing.back_off.holds(self._clock()):
            return None
        return await self._ask(tokens)

    def _is_due(self, tokens: TokenSet | None) -> bool:
        """Whether a request would have to wait for newer ones."""
        if tokens is None or tokens.access_token == self.refused:
            return True
        return Window.of(tokens).freshness(self._clock()) not in (Freshness.FRESH, Freshness.AGEING)

    async def _ask(self, tokens: TokenSet) -> Outcome | None:
        """Ask the provider, unless an answer that was lost before speaks against it."""
        attempt, now = await self._attempts.open_attempt(tokens), self._clock()
        refused = tokens.access_token == self.refused
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
            await self._unsaved.write(renewed)
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
        if stored is not None and stored.refresh_token != tried.refresh_token and self.is_news(stored):
            await self.take_up(stored)
            return
        reason = f"the provider refused the refresh token ({outcome.error})"
        if attempt is not None:
            reason += f": the answer of {clock_time(attempt.asked_at)} was lost, and it was spent then"
        elif cause := await self._history.note(tried, self._clock()):
            reason += f": {cause}"
        await self._history.note_refusal(tried, reason, self._clock())
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

    def _adopt(self, tokens: TokenSet) -> None:
        self._standing.adopt(tokens)
        self._unsaved.drop()

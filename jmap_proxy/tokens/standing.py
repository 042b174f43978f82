"""How an account's tokens stand: the current ones, and what is wrong if something is. No I/O; time is passed in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import ClientRefused, JmapProxyError, SignInNeeded, StoreError, TokenDelayed
from jmap_proxy.tokens.backoff import BackOff
from jmap_proxy.tokens.report import State, TokenReport
from jmap_proxy.tokens.window import CLOCK_TOLERANCE, Freshness, Window

if TYPE_CHECKING:
    from jmap_proxy.tokens.outcome import Transient
    from jmap_proxy.tokens.tokenset import TokenSet

NOT_SIGNED_IN = "not signed in"

log = structlog.get_logger("jmap_proxy.tokens")


class Standing:
    """The current tokens of one account, and why there are no better ones.

    Attributes:
        tokens: The current ones, None if there are none.
        window: When they are due.
        back_off: The refreshes that failed since they came.
        likely_end_at: Epoch seconds at which the sign-in is likely to end, None if nothing is known.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self.tokens: TokenSet | None = None
        self.window = Window(0.0, 0.0, 0.0, 0.0)
        self.back_off = BackOff()
        self.likely_end_at: float | None = None
        self._lost: JmapProxyError | None = SignInNeeded(account, NOT_SIGNED_IN)
        self._lost_refresh_token: str | None = None
        self._store_error: StoreError | None = None
        self._last_error = ""
        self._last_error_at: float | None = None
        self._failure: Transient | None = None
        self._waits_for_the_end = False
        self._clock_ahead: float | None = None

    @property
    def generation(self) -> int:
        """Of the current tokens, 0 if there are none."""
        return self.tokens.generation if self.tokens else 0

    @property
    def sign_in_id(self) -> str:
        """Of the sign-in whose tokens are in use, "" if there are none."""
        return self.tokens.sign_in_id if self.tokens else ""

    @property
    def renewable(self) -> bool:
        """False once it is known that only the user can get new tokens."""
        return self._lost is None

    def holds(self, now: float) -> bool:
        """Whether it is not yet time to ask the provider (again)."""
        waits = self._waits_for_the_end and self.freshness(now) is not Freshness.EXPIRED
        return waits or self.back_off.holds(now)

    def freshness(self, now: float) -> Freshness:
        """Of the current access token; EXPIRED where there is none."""
        return self.window.freshness(now) if self.tokens else Freshness.EXPIRED

    def is_current(self, access_token: str) -> bool:
        """Whether this is the current access token."""
        return self.tokens is not None and self.tokens.access_token == access_token

    def is_refused(self, refresh_token: str) -> bool:
        """Whether the provider has definitely refused this refresh token."""
        return self._lost is not None and refresh_token == self._lost_refresh_token

    def adopt(self, tokens: TokenSet) -> None:
        """These are the current ones now, and all is well."""
        if self.tokens is None or tokens.sign_in_id != self.tokens.sign_in_id:
            self.likely_end_at = None
        self.tokens = tokens
        self.window = Window.of(tokens)
        self.back_off = BackOff()
        self._lost = None
        self._store_error = None
        self._failure = None
        self._waits_for_the_end = False
        self.clear_error()

    def forget(self, now: float) -> None:
        """The account is signed out."""
        if self._lost is None:
            log.info("signed out", account=self._account)
        self.tokens = None
        self._be_lost(NOT_SIGNED_IN, None, now)

    def lose(self, reason: str, refresh_token: str | None, now: float) -> bool:
        """Only a new sign-in helps; `refresh_token` is the one that is of no use any more.

        Returns:
            Whether that is news.
        """
        news = self._lost is None
        if news:
            log.error("sign-in needed", account=self._account, reason=reason)
        self._be_lost(reason, refresh_token, now)
        return news

    def _be_lost(self, reason: str, refresh_token: str | None, now: float) -> None:
        self._lost = SignInNeeded(self._account, reason)
        self._lost_refresh_token = refresh_token
        self._waits_for_the_end = False
        self.note(reason, now)

    def be_unreadable(self, error: StoreError, now: float) -> None:
        """The store cannot be read and there is nothing in memory: what the file needs, the user must do."""
        if self._last_error != str(error):
            log.error("store unreadable", account=self._account, error=str(error), hint=error.hint)
        self._lost = error
        self._lost_refresh_token = None
        self.note(str(error), now)

    def fail(self, outcome: Transient, now: float, jitter: float, store_error: StoreError | None = None) -> float:
        """A refresh failed for a passing reason, maybe one of the store's; the seconds to wait before the next one."""
        self._store_error = store_error
        self._failure = outcome
        wait = self.back_off.fail(now, jitter, outcome.retry_after)
        self.note(outcome.reason, now)
        log.warning("refresh failed, will retry", account=self._account, reason=outcome.reason, wait=round(wait, 1))
        return wait

    def wait_for_the_end(self, lost_at: float, now: float) -> None:
        """The answer to a refresh was lost: the access token is used up before the provider is asked again."""
        if not self._waits_for_the_end:
            self._waits_for_the_end = True
            self.note(f"the provider's answer of {clock_time(lost_at)} was lost", now)
            log.warning("refresh waits for the end of the token", account=self._account, reason=self._last_error)

    def compare_clocks(self, provider_time: float | None, asked_at: float, now: float) -> None:
        """Note what the provider's clock says (Date, RFC 9110 §6.6.1), somewhen between `asked_at` and `now`."""
        if provider_time is None:
            return
        ahead = max(0.0, asked_at - provider_time) + min(0.0, now - provider_time)
        if abs(ahead) > CLOCK_TOLERANCE and (self._clock_ahead is None or abs(self._clock_ahead) <= CLOCK_TOLERANCE):
            log.warning("this machine's clock is wrong", account=self._account, ahead=round(ahead))
        self._clock_ahead = ahead

    def note(self, error: str, now: float) -> None:
        """Remember what went wrong last."""
        self._last_error = error
        self._last_error_at = now

    def clear_error(self) -> None:
        """What went wrong last has mended itself."""
        self._last_error = ""
        self._last_error_at = None

    def failure(self, now: float, *, asking: bool) -> JmapProxyError:
        """Why there is no token to give; `asking`: a refresh that may mend it is under way."""
        if self._lost is not None and not asking:
            return self._lost.anew()
        if self._store_error is not None:
            return self._store_error.anew()
        reason = self._last_error or "no answer yet"
        if self._failure is not None and self._failure.client_refused:
            wait, mend = max(1.0, self.back_off.until - now), self._failure.mend
            return ClientRefused(self._account, reason, retry_after=wait, mend=mend)
        return TokenDelayed(
            f"account {self._account!r}: no token from the identity provider: {reason}",
            hint="it is tried again by itself; jmap-proxy status tells more",
            retry_after=max(1.0, self.back_off.until - now),
        )

    def report(self, now: float, *, unsaved: bool) -> TokenReport:
        """What there is to tell; `unsaved`: the current tokens are in memory only."""
        tokens, foretold = self.tokens, self.likely_end_at
        due = max(self.window.expires_at if self._waits_for_the_end else self.window.soft_at, self.back_off.until)
        return TokenReport(
            state=self._state(unsaved=unsaved),
            issuer=tokens.issuer if tokens else "",
            generation=self.generation,
            obtained_at=tokens.obtained_at if tokens else None,
            expires_at=tokens.expires_at if tokens else None,
            next_refresh_at=due if tokens and tokens.renewable and self.renewable else None,
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            clock_ahead=self._clock_ahead,
            answer_lost=self._waits_for_the_end or (self._failure is not None and self._failure.answer_lost),
            likely_end_at=foretold if foretold is not None and now < foretold and self.renewable else None,
        )

    def _state(self, *, unsaved: bool) -> State:
        if isinstance(self._lost, StoreError):
            return State.STORE_ERROR
        if self._lost is not None:
            return State.NEEDS_LOGIN
        if self._failure is not None and self._failure.client_refused:
            return State.CLIENT_REFUSED
        if unsaved:  # told before what passes by itself: they are lost with the process
            return State.UNSAVED
        return State.RETRYING if self.back_off.failures else State.OK


def clock_time(moment: float) -> str:
    """A moment as a person reads it in a log: "2026-03-01 12:00:05 UTC"."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock_day(moment: float) -> str:
    """The day of a moment: "2026-03-01"."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")

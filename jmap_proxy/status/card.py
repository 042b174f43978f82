"""An account as the status page shows it: a report in, words and a tone out. Pure, and holds no secret."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.origins import parse_origin
from jmap_proxy.status.overview import in_words
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.standing import clock_day
from jmap_proxy.tokens.window import CLOCK_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jmap_proxy.status.sign_in_again import Progress
    from jmap_proxy.tokens.report import TokenReport

TOLD_FOR = 900.0
"""Seconds for which the page tells how a sign-in has ended."""

TONES = ("bad", "warn", "good")
"""The worst first."""

_STATES = {
    State.OK: ("good", "Signed in"),
    State.RETRYING: ("warn", "The provider does not answer"),
    State.UNSAVED: ("warn", "Signed in, but the tokens are not saved"),
    State.STORE_ERROR: ("bad", "The stored tokens cannot be read"),
    State.CLIENT_REFUSED: ("bad", "The provider refuses the client"),
    State.NEEDS_LOGIN: ("bad", "A new sign-in is needed"),
}

_MENDS = {
    State.OK: "",
    State.RETRYING: "Nothing is lost, and it is tried again by itself. See whether provider and network are well.",
    State.UNSAVED: "See that the state folder can be written to; do not stop the proxy before this is well.",
    State.STORE_ERROR: "See that the state folder and the data key can be read. The files are left as they are.",
    State.CLIENT_REFUSED: "Compare client_id, its secret, scopes and resource with what the provider knows; "
    "for a client that registered itself, press “Sign in again”.",
    State.NEEDS_LOGIN: "Press “Sign in again”, or run",
}


@dataclass(frozen=True, slots=True)
class AccountCard:
    """An account in words.

    Attributes:
        anchor: Its id in the document.
        tone: One of `TONES`.
        life: Percent of the access token's life that is left, None if there is nothing to measure.
        life_told: The same in words.
        facts: Terms and what there is to say of each.
        trouble: What went wrong last, and `trouble_at` when, in words.
        mend: What mends it, and `command` what to type for that, "" for nothing.
        can_sign_in: Whether a sign-in can be begun from the page: only one that is known can be renewed.
        progress: Of a sign-in that was begun here, None if there is nothing to tell.
        sign_in_host: Where that goes on, "" if it does not.
    """

    name: str
    anchor: str
    server: str
    issuer: str
    tone: str
    state: str
    life: int | None
    life_told: str
    facts: tuple[tuple[str, str], ...]
    trouble: str
    trouble_at: str
    mend: str
    command: str
    can_sign_in: bool
    progress: Progress | None
    sign_in_host: str

    @property
    def needs_sign_in(self) -> bool:
        """Whether that is what helps now."""
        return self.can_sign_in and bool(self.command)


def account_card(
    number: int, name: str, server: str, report: TokenReport, progress: Progress | None, now: float
) -> AccountCard:
    """How the page shows an account.

    Args:
        number: Its place on the page.
        name: Of the account.
        server: Of the configuration.
        report: How it is doing.
        progress: Of a sign-in that was begun from the page, None if there was none.
        now: Epoch seconds.
    """
    tone, state = _STATES[report.state]
    if progress is not None and progress.outcome and now - progress.at > TOLD_FOR:
        progress = None
    known, lost = report.generation > 0, report.state is State.NEEDS_LOGIN
    return AccountCard(
        name=name,
        anchor=f"account-{number}",
        server=server,
        issuer=report.issuer,
        tone=tone,
        state=state if known or not lost else "Not signed in",
        life=_life_left(report, now),
        life_told=_life_told(report, now),
        facts=tuple(_facts(report, now)),
        trouble=report.last_error if known or not lost else "",
        trouble_at=in_words(report.last_error_at, now) if report.last_error_at else "",
        mend=_MENDS[report.state] if known or not lost else "To sign in, run",
        command=f"jmap-proxy login {shlex.quote(name)}" if lost else "",
        can_sign_in=known,
        progress=progress,
        sign_in_host=parse_origin(progress.url).host if progress and progress.url else "",
    )


def _facts(report: TokenReport, now: float) -> Iterator[tuple[str, str]]:
    if report.next_refresh_at is not None:
        due = report.next_refresh_at <= now
        yield "Next refresh", "with the next request" if due else in_words(report.next_refresh_at, now)
    if report.generation:
        yield "Refreshed", {1: "not yet", 2: "once"}.get(report.generation, f"{report.generation - 1} times")
    if report.likely_end_at is not None:
        yield "Likely to end", clock_day(report.likely_end_at)
    ahead = report.clock_ahead or 0.0
    if abs(ahead) > CLOCK_TOLERANCE:
        yield "This clock", f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the provider's"


def _life_told(report: TokenReport, now: float) -> str:
    if report.expires_at is None:
        return "There is no access token."
    if now < report.expires_at:
        return f"The access token ends {in_words(report.expires_at, now)}."
    renewed = "; the next request has it renewed" if report.next_refresh_at is not None else ""
    return f"The access token ended {in_words(report.expires_at, now)}{renewed}."


def _life_left(report: TokenReport, now: float) -> int | None:
    if report.expires_at is None or report.obtained_at is None or report.expires_at <= report.obtained_at:
        return None
    share = (report.expires_at - now) / (report.expires_at - report.obtained_at)
    return round(100 * min(1.0, max(0.0, share)))

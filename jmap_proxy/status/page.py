"""The status page: reports in, one HTML document out. Pure, but for reading its template once. Holds no secret.

No script and nothing from elsewhere; the content security policy allows this one style sheet and no more.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from jmap_proxy import __version__
from jmap_proxy.origins import parse_origin
from jmap_proxy.status.overview import in_words
from jmap_proxy.status.plot import plot
from jmap_proxy.tokens.report import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jmap_proxy.status.sign_in_again import Progress
    from jmap_proxy.status.traffic import Minute, Trouble
    from jmap_proxy.tokens.report import TokenReport

_STATES = {
    State.OK: ("good", "Signed in"),
    State.RETRYING: ("warn", "The provider does not answer; it is tried again"),
    State.UNSAVED: ("warn", "Signed in, but the latest tokens are not saved"),
    State.STORE_ERROR: ("bad", "The stored tokens cannot be read"),
    State.CLIENT_REFUSED: ("bad", "The provider refuses the client"),
    State.NEEDS_LOGIN: ("bad", "A new sign-in is needed"),
}

_MENDS = {
    State.OK: "",
    State.RETRYING: "Look whether the provider and the network are well; nothing is lost.",
    State.UNSAVED: "See that the state folder can be written to; do not restart before this says “Signed in”.",
    State.STORE_ERROR: "See that the state folder can be read; the files are left as they are.",
    State.CLIENT_REFUSED: "Compare client_id, its secret, scopes and resource with what the provider knows; "
    "for a client that registered itself, press “Sign in again”.",
    State.NEEDS_LOGIN: "Press “Sign in again”, or run jmap-proxy login.",
}


@dataclass(frozen=True, slots=True)
class AccountCard:
    """An account as the page shows it, in words.

    Attributes:
        anchor: Its id in the document.
        tone: "good", "warn" or "bad".
        life: Percent of the access token's life that is left, None if that is not known.
        facts: Terms and what there is to say of each.
        sign_in_url: Where a sign-in that is under way goes on, "" if none is.
    """

    name: str
    anchor: str
    server: str
    issuer: str
    tone: str
    state: str
    life: int | None
    facts: tuple[tuple[str, str], ...]
    trouble: str
    mend: str
    sign_in_told: str
    sign_in_url: str
    sign_in_host: str


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
    url = progress.url if progress else ""
    facts = {
        "Token expires": in_words(report.expires_at, now),
        "Next refresh": in_words(report.next_refresh_at, now),
        "Token generation": str(report.generation or "-"),
    }
    return AccountCard(
        name=name,
        anchor=f"account-{number}",
        server=server,
        issuer=report.issuer,
        tone=tone,
        state=state,
        life=_life_left(report, now),
        facts=tuple(facts.items()),
        trouble=report.last_error,
        mend=_MENDS[report.state],
        sign_in_told=progress.told if progress else "",
        sign_in_url=url,
        sign_in_host=parse_origin(url).host if url else "",
    )


def page_html(
    reports: Mapping[str, TokenReport],
    servers: Mapping[str, str],
    progress: Mapping[str, Progress],
    minutes: Sequence[Minute],
    troubles: Sequence[Trouble],
    *,
    csrf: str,
    now: float,
) -> str:
    """The whole page.

    Args:
        reports: By account.
        servers: By account, as configured.
        progress: Sign-ins that were begun from the page, by account.
        minutes: Traffic of the last hour, the oldest first.
        troubles: The last errors, the newest first.
        csrf: What a form must bring back.
        now: Epoch seconds.
    """
    cards = [
        account_card(number, name, servers.get(name, ""), report, progress.get(name), now)
        for number, (name, report) in enumerate(reports.items(), 1)
    ]
    ill = sum(card.tone == "bad" for card in cards)
    return _template().render(
        title=f"jmap-proxy: {ill} of {len(cards)} accounts need you" if ill else "jmap-proxy: all is well",
        style=_style(),
        version=__version__,
        told_at=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        accounts=cards,
        plot=plot([(minute.requests, minute.errors) for minute in minutes]),
        errors=[
            {
                "detail": trouble.detail,
                "account": trouble.account,
                "request_id": trouble.request_id,
                "mend": trouble.mend,
                "when": in_words(trouble.at, now),
            }
            for trouble in troubles
        ],
        csrf=csrf,
    )


@functools.cache
def content_security_policy() -> str:
    """What the page may do (CSP 3): show its own style sheet, and send its forms here."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


@functools.cache
def _style() -> Markup:
    return Markup(resources.files(__package__).joinpath("page.css").read_text("utf-8"))  # noqa: S704 - our own file


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(resources.files(__package__).joinpath("page.html").read_text("utf-8"))


def _life_left(report: TokenReport, now: float) -> int | None:
    if report.expires_at is None or report.obtained_at is None or report.expires_at <= report.obtained_at:
        return None
    share = (report.expires_at - now) / (report.expires_at - report.obtained_at)
    return round(100 * min(1.0, max(0.0, share)))

"""The status page: reports in, one HTML document out. Pure, but for reading its template once. Holds no secret.

No script and nothing from elsewhere; the content security policy allows this one style sheet and no more.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from jmap_proxy import __version__
from jmap_proxy.status.card import TONES, AccountCard, account_card
from jmap_proxy.status.overview import in_words
from jmap_proxy.status.plot import plot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jmap_proxy.status.sign_in_again import Progress
    from jmap_proxy.status.traffic import Minute, Trouble
    from jmap_proxy.tokens.report import TokenReport


MOST_ERRORS = 20
"""That are shown; of 1,000 accounts there can be many."""


def page_html(
    reports: Mapping[str, TokenReport],
    servers: Mapping[str, str],
    progress: Mapping[str, Progress],
    minutes: Sequence[Minute],
    troubles: Sequence[Trouble],
    *,
    csrf: str,
    now: float,
    notice: str = "",
) -> str:
    """The whole page; the accounts that need somebody come first.

    Args:
        reports: By account.
        servers: By account, as configured.
        progress: Sign-ins that were begun from the page, by account.
        minutes: Traffic of the last hour, the oldest first.
        troubles: The last errors, the newest first.
        csrf: What a form must bring back.
        now: Epoch seconds.
        notice: What became of the form that has just been sent, "" for nothing to tell.
    """
    cards = [
        account_card(number, name, servers.get(name, ""), report, progress.get(name), now)
        for number, (name, report) in enumerate(reports.items(), 1)
    ]
    tone, summary = summary_of(cards)
    return _template().render(
        tone=tone,
        summary=summary,
        notice=notice,
        style=_style(),
        version=__version__,
        told_at=datetime.fromtimestamp(now, UTC),
        accounts=sorted(cards, key=lambda card: TONES.index(card.tone)),
        plot=plot([(minute.requests, minute.errors) for minute in minutes]),
        errors=[(trouble, in_words(trouble.at, now)) for trouble in troubles[:MOST_ERRORS]],
        more_errors=max(0, len(troubles) - MOST_ERRORS),
        csrf=csrf,
    )


def summary_of(cards: Sequence[AccountCard]) -> tuple[str, str]:
    """The page in a line, and its tone."""
    if not cards:
        return "warn", "There are no accounts yet"
    ill = {tone: [card.name for card in cards if card.tone == tone] for tone in TONES}
    if ill["bad"]:
        return "bad", f"{_number(ill['bad'], len(cards))} you"
    if ill["warn"]:
        return "warn", f"{_number(ill['warn'], len(cards))} watching"
    return "good", "All is well"


def _number(names: Sequence[str], of: int) -> str:
    """How many of them need something."""
    if of == 1:
        return "The account needs"
    return f"{len(names)} of {of} accounts need{'s' if len(names) == 1 else ''}"


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
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(resources.files(__package__).joinpath("page.html").read_text("utf-8"))

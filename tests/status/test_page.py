from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.status.card import AccountCard, account_card
from jmap_proxy.status.page import MOST_ERRORS, content_security_policy, page_html, summary_of
from jmap_proxy.status.sign_in_again import Progress
from jmap_proxy.status.traffic import Minute, Trouble
from jmap_proxy.tokens.report import State, TokenReport
from tests.support.clock import NOW
from tests.support.status_page import HOSTILE, SIGN_IN_URL, Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Document(HTMLParser):
    """A parsed page: its elements with their attributes, its words, and whether each element is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG that is empty."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Words."""
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each of these elements."""
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self) -> str:
        """All words, with single spaces."""
        return " ".join("".join(self.words).split())


def page(shown: Shown, progress: Mapping[str, Progress] | None = None, notice: str = "") -> Document:
    """The page, parsed."""
    traffic = shown.traffic
    text = page_html(
        shown.reports,
        shown.servers,
        progress or {},
        traffic.minutes(),
        traffic.troubles(),
        csrf="sesame",
        now=shown.clock.now,
        notice=notice,
    )
    return Document(text)


@pytest.fixture
def shown() -> Shown:
    """Return what a page with accounts in all states is made of."""
    shown = Shown()
    shown.add_all_states()
    shown.add_traffic()
    return shown


def test_every_account_is_shown_with_its_state(shown: Shown) -> None:
    """By name, server, provider and state; with its trouble and its mend."""
    document = page(shown)
    for name in shown.reports:
        assert name in document.text
        assert shown.servers[name] in document.text
    for told in (
        "A new sign-in is needed",
        "Not signed in",
        "revoked by the user (67 min ago)",
        "jmap-proxy login needs-login",
        "The provider does not answer",
        "No space left on device",
        "The access token ends in 30 min.",
    ):
        assert told in document.text


def test_the_accounts_that_need_somebody_come_first(shown: Shown) -> None:
    """Then those to be watched, else in the order of the configuration; a link to one leads to the same one."""
    cards = [attrs for attrs in page(shown).all("section") if attrs["class"].startswith("card ")]
    tones = [attrs["class"].removeprefix("card ") for attrs in cards]
    assert tones == ["bad"] * 4 + ["warn"] * 2 + ["good"] * 5
    numbers = [list(shown.reports).index("needs-login") + 1, list(shown.reports).index("never") + 1]
    assert [attrs["id"] for attrs in cards[:2]] == [f"account-{number}" for number in numbers]


def test_the_life_is_a_bar(shown: Shown) -> None:
    """As wide as what is left, and with the same in words for who cannot see it."""
    document = page(shown)
    assert "50%" in [attrs["width"] for attrs in document.all("rect") if attrs["class"] == "left"]
    assert "50 % of its life is left" in [attrs["aria-label"] for attrs in document.all("svg") if "role" in attrs]


def test_traffic_and_errors_are_shown(shown: Shown) -> None:
    """The plot with its words; each error with its mend, its account, and the id by which the log knows it."""
    document = page(shown)
    assert re.search(r"\d+ requests, \d+ failed; at most 37 in a minute\.", document.text)
    assert {attrs["class"] for attrs in document.all("rect")} == {"track", "left", "well", "failed"}
    assert "no local key was sent Mend: give the local key as password" in document.text
    assert "3 times, request 0000000002" in document.text
    assert ", 1 times" not in document.text


def test_of_many_errors_the_newest_are_shown() -> None:
    """The others are in the log."""
    troubles = [Trouble(NOW - number, f"a{number}", "code", f"e{number}.", "", "") for number in range(MOST_ERRORS + 5)]
    for count, more in ((MOST_ERRORS, False), (MOST_ERRORS + 5, True)):
        document = Document(page_html({}, {}, {}, [], troubles[:count], csrf="", now=NOW))
        assert len(document.all("li")) == MOST_ERRORS
        assert "e0." in document.text
        assert ("5 older ones are in the log." in document.text) == more


def test_where_there_is_nothing_it_says_so() -> None:
    """No accounts, no requests, no errors: and what to do."""
    document = page(Shown())
    assert "There are no accounts yet" in document.text
    assert "jmap-proxy login you@example.com" in document.text
    assert "No requests." in document.text
    assert "None since the start." in document.text
    assert document.all("form") == []


def test_nothing_is_loaded_and_nothing_runs(shown: Shown) -> None:
    """No script, no handler, no style of an element, nothing from elsewhere: only links that somebody follows."""
    document = page(shown, {"well": Progress("goes on", NOW, url=SIGN_IN_URL)})
    assert not {"script", "iframe", "object", "embed", "img", "base"} & {tag for tag, _ in document.elements}
    for tag, attrs in document.elements:
        assert not [name for name in attrs if name.startswith("on") or name in {"style", "src", "srcset"}]
        if tag == "link":
            assert attrs == {"rel": "icon", "href": "data:,"}
        elif "href" in attrs:
            assert (tag, attrs["href"]) in {("a", "/"), ("a", SIGN_IN_URL)}
        assert attrs.get("http-equiv") is None


def test_the_policy_allows_this_style_sheet_alone(shown: Shown) -> None:
    """By its hash (CSP 3 §2.3.1), which the page's own one has; no source that others could use."""
    text = page_html(shown.reports, {}, {}, [], [], csrf="", now=NOW)
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(each.split(" ", 1) for each in content_security_policy().split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert (policy["form-action"], policy["frame-ancestors"], policy["base-uri"]) == ("'self'", "'none'", "'none'")
    assert "script-src" not in policy
    assert "unsafe" not in content_security_policy()


def test_a_sign_in_under_way_is_a_link(shown: Shown) -> None:
    """In a tab of its own that learns nothing of this page; the keyboard is led to it, and it can be started over."""
    (link,) = [
        attrs
        for attrs in page(shown, {"needs-login": Progress("It goes on.", NOW, url=SIGN_IN_URL)}).all("a")
        if attrs["href"] != "/"
    ]
    assert (link["href"], link["target"], link["rel"]) == (SIGN_IN_URL, "_blank", "noopener noreferrer")
    assert "autofocus" in link
    told = page(shown, {"needs-login": Progress("It goes on.", NOW, url=SIGN_IN_URL)}).text
    assert "It goes on. The access token ended" in told
    assert "Continue at sso.example.com in a new tab, for needs-login Start over to needs-login" in told


def test_forms_bring_account_and_token_by_post(shown: Shown) -> None:
    """One for each account that can be signed in again, and nothing that a link could do."""
    document = page(shown)
    forms = document.all("form")
    assert {(attrs["method"], attrs["action"]) for attrs in forms} == {("post", "/sign-in")}
    assert len(forms) == sum(report.generation > 0 for report in shown.reports.values()) == 9
    fields = [(attrs["name"], attrs["value"]) for attrs in document.all("input")]
    assert fields.count(("csrf", "sesame")) == 9
    assert ("account", HOSTILE) in fields
    assert all("never" not in value for _, value in fields)


def test_a_notice_is_told_at_once() -> None:
    """A screen reader reads it without being asked."""
    document = page(Shown(), notice=f"Nothing was done: {HOSTILE}")
    assert f"Nothing was done: {HOSTILE}" in document.text
    assert "alert" in [attrs.get("role") for attrs in document.all("p")]


@given(st.text(), st.text(), st.text(), st.text())
def test_text_is_text(name: str, server: str, error: str, told: str) -> None:
    """Whatever names, servers, errors and people are called, they add no element and no attribute."""
    report = TokenReport(state=State.NEEDS_LOGIN, issuer=server, generation=1, last_error=error)
    plain = TokenReport(state=State.NEEDS_LOGIN, issuer=server and "x", generation=1, last_error=error and "x")

    def made(name: str, server: str, report: TokenReport, error: str, told: str) -> Document:
        trouble = Trouble(NOW, error and name, "code", error, server, told)
        progress = {name: Progress(told, NOW, "bad")}
        return Document(
            page_html({name: report}, {name: server}, progress, [Minute(1, 1)], [trouble], csrf="c", now=NOW)
        )

    def shape(document: Document) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in document.elements]

    expected = made(name and "x", server and "x", plain, error and "x", told and "x")
    assert shape(made(name, server, report, error, told)) == shape(expected)


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([], ("warn", "There are no accounts yet")),
        ([State.OK], ("good", "All is well")),
        ([State.OK, State.OK], ("good", "All is well")),
        ([State.NEEDS_LOGIN], ("bad", "The account needs you")),
        ([State.OK, State.NEEDS_LOGIN], ("bad", "1 of 2 accounts needs you")),
        ([State.STORE_ERROR, State.NEEDS_LOGIN, State.RETRYING], ("bad", "2 of 3 accounts need you")),
        ([State.RETRYING, State.OK], ("warn", "1 of 2 accounts needs watching")),
        ([State.UNSAVED], ("warn", "The account needs watching")),
    ],
)
def test_the_page_in_a_line(states: list[State], told: tuple[str, str]) -> None:
    """The worst counts; it is the title too, which a tab shows."""
    cards: list[AccountCard] = [
        account_card(number, str(number), "", TokenReport(state=state), None, NOW)
        for number, state in enumerate(states)
    ]
    assert summary_of(cards) == told
    reports = {str(number): TokenReport(state=state) for number, state in enumerate(states)}
    assert f"<title>{told[1]} - jmap-proxy</title>" in page_html(reports, {}, {}, [], [], csrf="", now=NOW)

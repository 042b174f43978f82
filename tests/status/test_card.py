from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.status.card import TOLD_FOR, TONES, account_card
from jmap_proxy.status.sign_in_again import Progress
from jmap_proxy.tokens.report import State, TokenReport
from tests.support.clock import NOW

TIMES = st.none() | st.floats(0, 4e9)


def report(state: State = State.OK, **changes: object) -> TokenReport:
    """An account in that state, with three quarters of its token's life to come."""
    fields = {"generation": 3, "obtained_at": NOW - 900, "expires_at": NOW + 2700, "next_refresh_at": NOW + 2400}
    return TokenReport(**{"state": state, **fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("state", State)
def test_each_state_has_words_a_tone_and_a_mend(state: State) -> None:
    """What is not well says what mends it."""
    shown = account_card(1, "alice", "", report(state), None, NOW)
    assert shown.tone in TONES
    assert shown.state
    assert bool(shown.mend) == (shown.tone != "good") == (state is not State.OK)
    assert shown.can_sign_in


def test_a_lost_sign_in_is_mended_here_or_in_a_terminal() -> None:
    """With the command as the shell takes it."""
    shown = account_card(1, "it's me", "", report(State.NEEDS_LOGIN, last_error="revoked"), None, NOW)
    assert (shown.tone, shown.trouble, shown.needs_sign_in) == ("bad", "revoked", True)
    assert "Sign in again" in shown.mend
    assert shown.command == """jmap-proxy login 'it'"'"'s me'"""
    assert not account_card(1, "alice", "", report(), None, NOW).needs_sign_in


def test_who_was_never_signed_in_cannot_be_signed_in_here() -> None:
    """Nobody knows who it should be; the command is all that helps."""
    nobody = TokenReport(state=State.NEEDS_LOGIN, last_error="not signed in")
    shown = account_card(1, "bob", "", nobody, None, NOW)
    assert (shown.state, shown.can_sign_in, shown.needs_sign_in) == ("Not signed in", False, False)
    assert (shown.mend, shown.command, shown.trouble) == ("To sign in, run", "jmap-proxy login bob", "")


@pytest.mark.parametrize(
    ("changes", "life", "told"),
    [
        ({}, 75, "The access token ends in 45 min."),
        ({"expires_at": NOW - 60}, 0, "The access token ended 60 s ago; the next request has it renewed."),
        ({"expires_at": NOW - 60, "next_refresh_at": None}, 0, "The access token ended 60 s ago."),
        ({"obtained_at": NOW + 60}, 100, "The access token ends in 45 min."),
        ({"obtained_at": None}, None, "The access token ends in 45 min."),
        ({"obtained_at": NOW + 2700}, None, "The access token ends in 45 min."),
        ({"expires_at": None}, None, "There is no access token."),
    ],
)
def test_the_token_s_life(changes: dict[str, Any], life: int | None, told: str) -> None:
    """As a bar and in words, also while the clock is wrong."""
    shown = account_card(1, "alice", "", report(**changes), None, NOW)
    assert (shown.life, shown.life_told) == (life, told)


@given(TIMES, TIMES, TIMES, TIMES, st.integers(0, 10**6), st.sampled_from(State))
def test_every_report_can_be_shown(
    obtained: float | None, expires: float | None, due: float | None, error_at: float | None, number: int, state: State
) -> None:
    """The bar is within its bounds, whatever the times are."""
    told = TokenReport(
        state=state,
        generation=number,
        obtained_at=obtained,
        expires_at=expires,
        next_refresh_at=due,
        last_error="x",
        last_error_at=error_at,
    )
    shown = account_card(1, "alice", "", told, None, NOW)
    assert shown.life is None or 0 <= shown.life <= 100
    assert shown.can_sign_in == (number > 0)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({}, ("Next refresh", "in 40 min")),
        ({"next_refresh_at": NOW}, ("Next refresh", "with the next request")),
        ({"generation": 1}, ("Refreshed", "not yet")),
        ({"generation": 2}, ("Refreshed", "once")),
        ({"generation": 12}, ("Refreshed", "11 times")),
        ({"likely_end_at": 1_800_500_000.0}, ("Likely to end", "2027-01-21")),
        ({"clock_ahead": 95.4}, ("This clock", "95 s ahead of the provider's")),
        ({"clock_ahead": -4000.0}, ("This clock", "4000 s behind the provider's")),
    ],
)
def test_facts(changes: dict[str, Any], fact: tuple[str, str]) -> None:
    """What there is to say, and no more: a clock that is right is no news."""
    assert fact in account_card(1, "alice", "", report(**changes), None, NOW).facts
    plain = dict(account_card(1, "alice", "", report(clock_ahead=1.0), None, NOW).facts)
    assert plain.keys() == {"Next refresh", "Refreshed"}
    nothing = TokenReport(state=State.NEEDS_LOGIN)
    assert account_card(1, "alice", "", nothing, None, NOW).facts == ()


def test_a_sign_in_under_way_says_where_it_goes_on() -> None:
    """By its host; nobody is sent anywhere unseen."""
    under_way = Progress("goes on", NOW - 500, url="https://sso.example.com:8443/authorize?state=x")
    shown = account_card(1, "alice", "", report(), under_way, NOW)
    assert (shown.progress, shown.sign_in_host) == (under_way, "sso.example.com")


def test_how_a_sign_in_ended_is_told_for_a_while() -> None:
    """Not for weeks; one that is under way as long as it is."""
    for outcome in ("good", "bad"):
        ended = Progress("over", NOW - TOLD_FOR, outcome)
        assert account_card(1, "alice", "", report(), ended, NOW).progress is ended
        assert account_card(1, "alice", "", report(), ended, NOW + 1).progress is None
    under_way = Progress("asked", NOW - 2 * TOLD_FOR)
    assert account_card(1, "alice", "", report(), under_way, NOW).progress is under_way
    assert account_card(1, "alice", "", report(), under_way, NOW).sign_in_host == ""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.status.overview import AccountStatus, account_status, clock_warnings, foretold_ends, in_words
from jmap_proxy.tokens.losses import DAY, Loss, likely_cause
from jmap_proxy.tokens.refusal import Refusal
from jmap_proxy.tokens.report import State, TokenReport
from jmap_proxy.tokens.window import Window
from tests.oauth.helpers import token_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmap_proxy.tokens.tokenset import TokenSet

NOW = 1000.0


def status(
    stored: TokenSet | None = None,
    store_error: str = "",
    live: TokenReport | None = None,
    losses: Sequence[Loss] = (),
    refusal: Refusal | None = None,
) -> AccountStatus:
    """The status of an account."""
    return account_status(
        server="https://m.example",
        issuer="https://sso.example",
        local_key=True,
        stored=stored,
        store_error=store_error,
        live=live,
        now=NOW,
        losses=losses,
        refusal=refusal,
    )


def tokens(**changes: Any) -> TokenSet:
    """Tokens that live from now on for an hour."""
    return token_set("https://sso.example", **{"obtained_at": NOW, "expires_at": NOW + 3600, **changes})


def test_nothing_stored_needs_a_sign_in() -> None:
    """There are no times to tell."""
    told = status()
    assert (told.state, told.told_by) == (State.NEEDS_LOGIN, "store")
    assert (told.expires_at, told.next_refresh_at, told.generation) == (None, None, 0)


def test_stored_tokens_tell_their_times() -> None:
    """The next refresh is where the soft window begins."""
    told = status(tokens(scope="mail"))
    assert (told.state, told.renewable, told.scope, told.generation) == (State.OK, True, "mail", 1)
    assert (told.obtained_at, told.expires_at, told.next_refresh_at) == (
        NOW,
        NOW + 3600,
        Window.of(tokens(scope="mail")).soft_at,
    )


def test_an_expired_token_that_can_be_renewed_is_well() -> None:
    """It is refreshed with the next request."""
    assert status(tokens(expires_at=NOW - 1)).state is State.OK


def test_an_expired_token_that_cannot_be_renewed_needs_a_sign_in() -> None:
    """Without a refresh token its end is the end."""
    assert status(tokens(refresh_token="", expires_at=NOW + 1)).state is State.OK
    told = status(tokens(refresh_token="", expires_at=NOW))
    assert (told.state, told.renewable, told.next_refresh_at) == (State.NEEDS_LOGIN, False, None)


def test_an_unreadable_store_is_told() -> None:
    """With its reason."""
    told = status(store_error="it is damaged")
    assert (told.state, told.last_error) == (State.STORE_ERROR, "it is damaged")
    told = status(store_error="it is damaged", live=TokenReport(state=State.OK))
    assert (told.state, told.last_error) == (State.OK, "it is damaged")


def test_a_running_proxy_knows_better() -> None:
    """What it tells counts; what only the store knows stays."""
    live = TokenReport(state=State.RETRYING, generation=7, expires_at=NOW + 5, last_error="503", last_error_at=NOW)
    told = status(tokens(scope="mail"), live=live)
    assert (told.state, told.told_by, told.generation) == (State.RETRYING, "proxy", 7)
    assert (told.expires_at, told.last_error, told.last_error_at) == (NOW + 5, "503", NOW)
    assert (told.scope, told.renewable) == ("mail", True)


def test_no_secret_is_told() -> None:
    """Neither in the JSON nor in the repr."""
    told = status(tokens())
    for text in (repr(told), msgspec.json.encode(told).decode()):
        assert "access-secret" not in text
        assert "refresh-secret" not in text


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (None, "-"),
        (NOW + 42, "in 42 s"),
        (NOW - 42, "42 s ago"),
        (NOW, "just now"),
        (NOW + 0.5, "now"),
        (NOW - 1, "1 s ago"),
        (NOW + 180, "in 3 min"),
        (NOW + 3 * 3600, "in 3 h"),
        (NOW - 3 * 3600, "3 h ago"),
        (NOW + 10 * 86400, "1970-01-11"),
    ],
)
def test_times_are_told_in_words(moment: float | None, words: str) -> None:
    """Near ones by their distance, far ones by their date."""
    assert in_words(moment, NOW) == words


@given(st.floats(0, 253402300799), st.floats(0, 4e9))
def test_any_time_has_words(moment: float, now: float) -> None:
    """No time that a calendar knows makes it fail."""
    assert in_words(moment, now)


@pytest.mark.parametrize(
    ("ahead", "told"), [(None, None), (60.0, None), (-60.0, None), (312.4, "312 s ahead of"), (-90.0, "90 s behind")]
)
def test_a_wrong_clock_is_told(ahead: float | None, told: str | None) -> None:
    """Where it differs by more than a minute from the provider's."""
    live = TokenReport(state=State.OK, clock_ahead=ahead)
    lines = clock_warnings({"alice": status(tokens(), live=live)})
    assert lines == ([] if told is None else [f"alice: this machine's clock is {told} the provider's; set it right."])


def test_a_regular_end_is_foretold() -> None:
    """From the losses in the store; what a running proxy tells counts more."""
    losses = (Loss(1e9, 1e9 + 7 * DAY), Loss(2e9, 2e9 + 7 * DAY))
    told = status(tokens(signed_in_at=NOW), losses=losses)
    assert told.likely_end_at == NOW + 7 * DAY
    assert foretold_ends({"alice": told, "bob": status(tokens(signed_in_at=NOW))}) == [
        f"alice: likely next sign-in needed on 1970-01-08, {likely_cause(losses)}."
    ]
    live = TokenReport(state=State.OK, likely_end_at=NOW + DAY)
    assert status(tokens(signed_in_at=NOW), live=live, losses=losses).likely_end_at == NOW + DAY


def test_client_credentials_are_renewed_without_a_refresh_token() -> None:
    """Their end is not the end of the sign-in."""
    told = status(tokens(refresh_token="", grant_type="client_credentials", expires_at=NOW - 1))
    assert (told.state, told.renewable, told.next_refresh_at is None) == (State.OK, True, False)


@pytest.mark.parametrize("live", [None, TokenReport(state=State.OK, generation=3)])
def test_a_loss_that_is_noted_is_told(live: TokenReport | None) -> None:
    """With or without a proxy that has found it out itself; later tokens show that it is over."""
    lost = tokens(generation=3)
    refusal = Refusal.of(lost, "the provider refused the refresh token", NOW - 5)
    told = status(lost, live=live, refusal=refusal)
    assert (told.state, told.last_error, told.last_error_at) == (State.NEEDS_LOGIN, refusal.reason, NOW - 5)
    later = TokenReport(state=State.OK, generation=4)
    for stored, proxy in ((tokens(generation=4), None), (lost, later), (None, None)):
        assert status(stored, live=proxy, refusal=refusal).last_error == ""

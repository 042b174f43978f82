from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import SignInNeeded, StoreError, TokenDelayed
from jmap_proxy.tokens.outcome import Transient
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.standing import Standing
from jmap_proxy.tokens.window import Freshness
from tests.tokens.builders import HOUR, NOW, token_set


def test_at_first_nobody_is_signed_in() -> None:
    """No token, nothing to renew, and the error says what to run."""
    standing = Standing("alice")
    assert (standing.generation, standing.renewable) == (0, False)
    assert standing.freshness(NOW) is Freshness.EXPIRED
    error = standing.failure(NOW, asking=False)
    assert isinstance(error, SignInNeeded)
    assert "jmap-proxy login alice" in error.hint


def test_a_sign_out_is_no_error() -> None:
    """It is told once, as what it is; a sign-in that the provider has ended is an error."""
    standing = Standing("alice")
    standing.adopt(token_set())
    with capture_logs() as logs:
        standing.forget(NOW)
        standing.forget(NOW)
    assert [(each["log_level"], each["event"]) for each in logs] == [("info", "signed out")]
    standing.adopt(token_set())
    with capture_logs() as logs:
        assert standing.lose("revoked", "r", NOW)
        assert not standing.lose("revoked", "r", NOW)
    assert [(each["log_level"], each["event"]) for each in logs] == [("error", "sign-in needed")]


def test_adopting_tokens_makes_all_well() -> None:
    """Whatever was wrong before is forgotten."""
    standing = Standing("alice")
    standing.be_unreadable(StoreError("damaged"), NOW)
    standing.fail(Transient("down"), NOW, 1.0)
    standing.adopt(token_set(3))
    report = standing.report(NOW, unsaved=False)
    assert (report.state, report.generation, report.last_error) == (State.OK, 3, "")
    assert standing.is_current("access-3")
    assert not standing.back_off.holds(NOW)


@pytest.mark.parametrize(
    ("unsaved", "fails", "state"),
    [
        (False, False, State.OK),
        (False, True, State.RETRYING),
        (True, False, State.UNSAVED),
        (True, True, State.UNSAVED),
    ],
)
def test_states_of_a_signed_in_account(unsaved: bool, fails: bool, state: State) -> None:
    """Tokens that are not saved, and so are lost with the process, are told before a refresh that fails."""
    standing = Standing("alice")
    standing.adopt(token_set())
    if fails:
        standing.fail(Transient("down"), NOW, 0.5)
    assert standing.report(NOW, unsaved=unsaved).state is state


def test_a_refused_refresh_token_is_known_by_itself() -> None:
    """Another one, of a new sign-in, is not taken for it."""
    standing = Standing("alice")
    standing.adopt(token_set())
    standing.lose("refused", "refresh-1", NOW)
    assert standing.is_refused("refresh-1")
    assert not standing.is_refused("refresh-2")
    assert standing.report(NOW, unsaved=False).next_refresh_at is None


def test_the_reason_is_the_nearest_one() -> None:
    """The store's own error with its hint; the provider's with Retry-After; while asked, that no answer has come."""
    standing = Standing("alice")
    standing.adopt(token_set())
    delayed = standing.failure(NOW + HOUR, asking=True)
    assert isinstance(delayed, TokenDelayed)
    assert "no answer yet" in delayed.detail
    standing.fail(Transient("503", retry_after=30), NOW, 0.0)
    assert standing.failure(NOW, asking=False).retry_after == pytest.approx(30)
    standing.fail(Transient("damaged"), NOW, 0.0, StoreError("damaged", hint="move it away"))
    assert standing.failure(NOW, asking=False).hint == "move it away"
    standing.forget(NOW)
    assert isinstance(standing.failure(NOW, asking=False), SignInNeeded)


def test_a_refused_client_says_what_mends_it() -> None:
    """The command where one is known; else what to compare."""
    standing = Standing("alice")
    standing.adopt(token_set())
    standing.fail(Transient("invalid_client", client_refused=True), NOW, 0.0)
    assert "compare issuer, client_id" in standing.failure(NOW, asking=False).hint
    standing.fail(Transient("gone", client_refused=True, mend="run: jmap-proxy login alice"), NOW, 0.0)
    assert standing.failure(NOW, asking=False).hint == "run: jmap-proxy login alice"


def test_a_foretold_end_is_told_until_it_comes() -> None:
    """Of this sign-in only: the next one's end is another, and one that has come already is told as it is."""
    standing = Standing("alice")
    standing.adopt(token_set())
    standing.likely_end_at = NOW + HOUR
    assert standing.report(NOW, unsaved=False).likely_end_at == NOW + HOUR
    assert standing.report(NOW + HOUR, unsaved=False).likely_end_at is None
    standing.adopt(token_set(2))
    assert standing.report(NOW, unsaved=False).likely_end_at == NOW + HOUR
    standing.lose("refused", "refresh-1", NOW)
    assert standing.report(NOW, unsaved=False).likely_end_at is None
    standing.adopt(token_set(sign_in_id="second"))
    assert standing.report(NOW, unsaved=False).likely_end_at is None

from __future__ import annotations

import msgspec
import pytest

from jmap_proxy.config import Account
from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.sign_in import judge_scopes, judge_sign_in
from jmap_proxy.doctor.stored import Stored
from jmap_proxy.tokens.journal import Attempt
from jmap_proxy.tokens.losses import Loss
from jmap_proxy.tokens.registration import Registration
from jmap_proxy.tokens.report import State, TokenReport
from jmap_proxy.tokens.tokenset import TokenSet

NOW = 1_800_000_000.0
ACCOUNT = Account(server="https://mail.example.com")
TOKENS = TokenSet(
    account="alice",
    issuer="https://sso.example.com",
    client_id="jmap-proxy",
    access_token="access",
    refresh_token="refresh",
    scope="mail",
    sign_in_id="1",
    signed_in_at=NOW - 60,
    generation=1,
    obtained_at=NOW - 60,
    expires_at=NOW + 3600,
)


def _codes(stored: Stored, live: TokenReport | None = None, account: Account = ACCOUNT) -> list[str]:
    return [finding.code for finding in judge_sign_in("alice", account, stored, live, NOW)]


def _live(state: State, *, answer_lost: bool = False) -> TokenReport:
    return TokenReport(state=state, last_error="it said so", answer_lost=answer_lost)


def test_what_cannot_be_read_has_been_told() -> None:
    """Nothing more is said."""
    assert _codes(Stored(unreadable=True), _live(State.STORE_ERROR)) == []


@pytest.mark.parametrize(
    ("state", "code", "level"),
    [
        (State.OK, "sign-in", Level.OK),
        (State.RETRYING, "provider-fails", Level.WARNING),
        (State.UNSAVED, "tokens-unsaved", Level.ERROR),
        (State.STORE_ERROR, "proxy-cannot-read", Level.ERROR),
        (State.CLIENT_REFUSED, "client-refused", Level.ERROR),
        (State.NEEDS_LOGIN, "sign-in-lost", Level.ERROR),
    ],
)
def test_each_state_of_a_running_proxy_is_told(state: State, code: str, level: Level) -> None:
    """With the reason that the proxy gives, and a mend."""
    (finding,) = judge_sign_in("alice", ACCOUNT, Stored(TOKENS), _live(state), NOW)
    assert (finding.code, finding.level, finding.account) == (code, level, "alice")
    assert state is State.OK or ("it said so" in finding.what and finding.mend)


def test_a_refused_client_that_registered_itself_needs_a_sign_in() -> None:
    """There is nothing of it in the configuration to compare."""
    registration = Registration(issuer=TOKENS.issuer, client_id="jmap-proxy", registered_at=NOW - 60)
    tokens = msgspec.structs.replace(TOKENS, registration=registration)
    (finding,) = judge_sign_in("alice", ACCOUNT, Stored(tokens), _live(State.CLIENT_REFUSED), NOW)
    assert (finding.code, finding.mend) == ("client-refused", "run: jmap-proxy login alice")


def test_a_refresh_that_is_under_way_is_no_lost_answer() -> None:
    """Only one that is older than a refresh takes; or one that the proxy knows of."""
    assert _codes(Stored(TOKENS, Attempt.of(TOKENS, NOW - 5))) == ["sign-in"]
    assert _codes(Stored(TOKENS, Attempt.of(TOKENS, NOW - 90))) == ["answer-lost"]
    assert _codes(Stored(TOKENS, Attempt.of(TOKENS, NOW + 90))) == ["answer-lost"]
    assert _codes(Stored(TOKENS), _live(State.RETRYING, answer_lost=True)) == ["answer-lost"]


def test_tokens_of_a_client_that_can_ask_again_need_no_refresh_token() -> None:
    """Its secret renews them (RFC 6749 §4.4)."""
    tokens = msgspec.structs.replace(
        TOKENS, refresh_token="", grant_type="client_credentials", expires_at=NOW - 1, scope=""
    )
    assert _codes(Stored(tokens)) == ["token-ended"]
    assert [finding.code for finding in judge_scopes("alice", ACCOUNT, tokens, None)] == ["scopes"]


def test_what_the_tokens_stand_for_was_granted() -> None:
    """Providers do not always repeat these scopes: an ID token stands for openid, a refresh token for its own."""
    account = msgspec.structs.replace(ACCOUNT, scopes=("openid", "offline_access", "mail"))
    (granted,) = judge_scopes("alice", account, msgspec.structs.replace(TOKENS, subject="1"), None)
    (narrowed,) = judge_scopes("alice", account, TOKENS, None)
    assert (granted.code, narrowed.code) == ("scopes", "scopes-narrowed")
    assert narrowed.what == "asked for, but not granted: openid (granted: mail)"


def test_the_likely_end_of_the_present_sign_in_is_told() -> None:
    """While there is time; one that has outlived the others will not end as they did."""
    week = 7 * 86400
    losses = tuple(Loss(NOW - weeks * week, NOW - (weeks - 1) * week) for weeks in (9, 8))
    (finding,) = judge_sign_in("alice", ACCOUNT, Stored(TOKENS, losses=losses), None, NOW)
    assert (finding.code, finding.level) == ("sign-in-ends-regularly", Level.WARNING)
    assert finding.what.endswith("the present one is likely to end at 2027-01-22 07:59:00 UTC")
    old = msgspec.structs.replace(TOKENS, signed_in_at=NOW - 2 * week)
    (finding,) = judge_sign_in("alice", ACCOUNT, Stored(old, losses=losses), None, NOW)
    assert "the present one" not in finding.what

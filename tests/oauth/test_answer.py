from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.oauth.answer import ASSUMED_LIFE, LONGEST_LIFE, parse_life, parse_token_answer
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient

NOW = 1_800_000_000.0
SECRET = "rt-very-secret"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
codes = st.sampled_from(["invalid_grant", "invalid_client", "invalid_request", "strange"])


def parse(status: int, content: Any, headers: dict[str, str] | None = None) -> Outcome:
    """Parse an answer with this JSON content, or these bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_token_answer(status, headers or {}, body, now=NOW)


def good(**changes: Any) -> Outcome:
    """Parse a good answer with members replaced, or removed by None."""
    fields = {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "refresh_token": SECRET, **changes}
    return parse(200, {name: value for name, value in fields.items() if value is not None})


@pytest.mark.parametrize(
    ("value", "life"),
    [
        (60, 60),
        ("60", 60),
        (0.5, 0.5),
        (10**12, LONGEST_LIFE),
        (10**400, ASSUMED_LIFE),
        (0, ASSUMED_LIFE),
        ("0", ASSUMED_LIFE),
        (-5, ASSUMED_LIFE),
        (True, ASSUMED_LIFE),
        (None, ASSUMED_LIFE),
        ("", ASSUMED_LIFE),
        ("soon", ASSUMED_LIFE),
        (float("nan"), ASSUMED_LIFE),
        ("inf", ASSUMED_LIFE),
        ([60], ASSUMED_LIFE),
        ({}, ASSUMED_LIFE),
    ],
)
def test_the_life_is_what_can_be_made_of_expires_in(value: Any, life: float) -> None:
    """A number or a numeric string counts, capped; whatever else means an hour."""
    assert parse_life(value) == life


@given(anything)
def test_the_life_is_always_within_bounds(value: Any) -> None:
    """Whatever stands in `expires_in`, the life is above 0 and at most a year."""
    assert 0 < parse_life(value) <= LONGEST_LIFE


def test_a_full_answer_is_read_whole() -> None:
    """All members of a good answer come through, and no secret shows in the repr."""
    outcome = good(scope="mail", id_token="a.b.c")
    assert outcome == Refreshed("at", SECRET, 60.0, "mail", "a.b.c")
    assert SECRET not in repr(outcome)


def test_an_absent_expires_in_means_an_hour() -> None:
    """`expires_in` is only recommended (RFC 6749 §5.1)."""
    outcome = good(expires_in=None)
    assert isinstance(outcome, Refreshed)
    assert outcome.life == ASSUMED_LIFE


@pytest.mark.parametrize("token_type", ["bearer", "BEARER", None])
def test_the_token_type_is_read_leniently(token_type: str | None) -> None:
    """`token_type` in any case, or left out, is a bearer token."""
    assert isinstance(good(token_type=token_type), Refreshed)


@pytest.mark.parametrize("token_type", ["DPoP", "mac", "", 5])
def test_another_kind_of_token_is_not_used(token_type: Any) -> None:
    """A token that is bound to a key cannot be sent as a bearer token."""
    assert isinstance(good(token_type=token_type), Transient)


@pytest.mark.parametrize("access_token", [None, "", 5, "a b", "a\r\nX: y", "ä", "\ud800", ["at"]])
def test_a_token_that_no_header_can_hold_is_not_used(access_token: Any) -> None:
    """Only visible ASCII becomes an access token."""
    assert isinstance(good(access_token=access_token), Transient)


@pytest.mark.parametrize("value", [None, 5, [], {}, "\ud800", "a\nb"])
def test_optional_members_of_odd_types_count_as_absent(value: Any) -> None:
    """A missing or odd refresh token, scope or ID token does not spoil a good access token."""
    outcome = good(refresh_token=value, scope=value, id_token=value)
    assert outcome == Refreshed("at", "", 60.0, "", "")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a":', b"{}"])
@pytest.mark.parametrize("status", [200, 400, 403, 502])
def test_what_is_no_json_object_decides_nothing(status: int, body: bytes) -> None:
    """An empty 200, a firewall's HTML page or garbage is transient."""
    assert isinstance(parse(status, body), Transient)


def test_invalid_grant_is_a_definite_no() -> None:
    """Only this error code means that the grant is gone; its status is 400, or 401 at some providers."""
    assert parse(400, {"error": "invalid_grant"}) == Rejected("invalid_grant")
    assert parse(401, {"error": "invalid_grant"}) == Rejected("invalid_grant")


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, {"error": "invalid_grant", "temporary": True}),
        (400, {"error": "invalid_grant", "temporary": "true"}),
        (500, {"error": "invalid_grant"}),
        (302, {"error": "invalid_grant"}),
        (408, {"error": "invalid_grant"}),
        (429, {"error": "invalid_grant"}),
        (401, {"error": "invalid_client"}),
        (400, {"error": "invalid_request"}),
        (400, {"error": "invalid_grant "}),
        (400, {"error": ["invalid_grant"]}),
        (400, {"error": {"code": "invalid_grant"}}),
        (400, {"error": None}),
        (400, {"error": "consent_required_vendor_42"}),
        (408, {}),
        (429, {}),
        (500, {"error": "server_error"}),
        (502, {}),
        (503, {"error": "temporarily_unavailable"}),
        (504, {}),
        (200, {"error": "invalid_grant"}),
    ],
)
def test_anything_else_is_transient(status: int, fields: dict[str, Any]) -> None:
    """A token is never thrown away on a guess."""
    assert isinstance(parse(status, fields), Transient)


def test_temporary_false_changes_nothing() -> None:
    """Only a `temporary` that says so keeps a refused grant."""
    assert isinstance(parse(400, {"error": "invalid_grant", "temporary": False}), Rejected)


@pytest.mark.parametrize(
    ("field", "seconds"),
    [("7", 7.0), (formatdate(NOW + 30, usegmt=True), 30.0), ("rubbish", None), ("-3", None), (None, None)],
)
def test_retry_after_is_honoured(field: str | None, seconds: float | None) -> None:
    """Seconds and dates are both read (RFC 9110 §10.2.3)."""
    outcome = parse(429, {}, {"Retry-After": field} if field else {})
    assert isinstance(outcome, Transient)
    assert outcome.retry_after == seconds


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_request", SECRET])
def test_the_providers_words_are_not_repeated(error: str) -> None:
    """A provider that echoes the refresh token does not get it into a log."""
    outcome = parse(400, {"error": error, "error_description": f"token {SECRET} is bad", "error_uri": SECRET})
    assert SECRET not in repr(outcome)


@given(st.integers(100, 599), st.binary(max_size=50), st.text(max_size=20))
def test_any_bytes_give_an_outcome(status: int, body: bytes, retry_after: str) -> None:
    """Parsing never raises, and bytes that are no JSON object are never a definite answer."""
    outcome = parse_token_answer(status, {"Retry-After": retry_after}, body, now=NOW)
    assert isinstance(outcome, Transient)


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["access_token", "refresh_token", "expires_in", "token_type", "scope", "error", "temporary"]),
        anything | codes,
    ),
)
def test_only_a_definite_invalid_grant_rejects(status: int, fields: dict[str, Any]) -> None:
    """Whatever JSON comes, nothing is raised, and Rejected means invalid_grant with a 4xx status, but for two."""
    outcome = parse(status, fields)
    if isinstance(outcome, Rejected):
        assert fields["error"] == "invalid_grant"
        assert 400 <= status < 500
        assert status not in {408, 429}
        assert not fields.get("temporary")
    if isinstance(outcome, Refreshed):
        assert 200 <= status < 300
        assert outcome.access_token.isascii()


@pytest.mark.parametrize(
    ("status", "content", "headers", "lost"),
    [
        (500, {}, {}, True),
        (502, {"error": "server_error"}, {}, True),
        (503, {}, {}, True),
        (503, {}, {"Retry-After": "5"}, False),
        (503, {"error": "temporarily_unavailable"}, {}, False),
        (429, {}, {}, False),
        (403, {}, {}, False),
        (204, {}, {}, True),
    ],
)
def test_what_leaves_the_outcome_open(
    status: int, content: dict[str, str], headers: dict[str, str], *, lost: bool
) -> None:
    """A 5xx can come from a gateway that has lost the provider's own answer, unless it says that it was put off."""
    outcome = parse_token_answer(status, headers, json.dumps(content).encode(), now=0.0)
    assert isinstance(outcome, Transient)
    assert outcome.answer_lost is lost


def test_tokens_count_with_any_good_status() -> None:
    """201 has been seen where 200 was meant."""
    content = {"access_token": "a", "token_type": "Bearer", "refresh_token": "rotated"}
    outcome = parse_token_answer(201, {}, json.dumps(content).encode(), now=0.0)
    assert isinstance(outcome, Refreshed)
    assert outcome.refresh_token == "rotated"

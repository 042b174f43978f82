from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.device import (
    ASSUMED_LIFE,
    DEFAULT_INTERVAL,
    LONGEST_INTERVAL,
    LONGEST_LIFE,
    SLOWER,
    DeviceRequest,
    interval_after,
    read_device_answer,
)
from jmap_proxy.tokens.outcome import Rejected, Transient

ISSUER = "https://sso.example"
ANSWER: dict[str, Any] = {
    "device_code": "d3vice",
    "user_code": "ABCD-EFGH",
    "verification_uri": f"{ISSUER}/device",
    "verification_uri_complete": f"{ISSUER}/device?user_code=ABCD-EFGH",
    "expires_in": 300,
    "interval": 7,
}


def read(**changes: Any) -> DeviceRequest:
    """What the answer with changes means; None leaves a member out."""
    answer = {name: value for name, value in {**ANSWER, **changes}.items() if value is not None}
    return read_device_answer(200, json.dumps(answer).encode(), ISSUER)


def test_an_answer_says_what_to_show_and_how_to_ask() -> None:
    """As RFC 8628 §3.2 has it."""
    request = read()
    assert (request.device_code, request.life, request.interval) == ("d3vice", 300, 7)
    assert request.prompt.verification_uri == f"{ISSUER}/device"
    assert request.prompt.verification_uri_complete.endswith("?user_code=ABCD-EFGH")
    assert request.prompt.user_code == "ABCD-EFGH"


def test_codes_are_not_shown_by_accident() -> None:
    """No repr has them; a log would."""
    assert "d3vice" not in repr(read())
    assert "ABCD" not in repr(read())


@pytest.mark.parametrize(
    ("said", "life", "interval"),
    [
        ({"expires_in": None, "interval": None}, ASSUMED_LIFE, DEFAULT_INTERVAL),
        ({"expires_in": "120", "interval": "3"}, 120, 3),
        ({"expires_in": 0, "interval": 0}, ASSUMED_LIFE, DEFAULT_INTERVAL),
        ({"expires_in": 600, "interval": 5000}, 600, DEFAULT_INTERVAL),
        ({"expires_in": 600, "interval": 600}, 600, DEFAULT_INTERVAL),
        ({"expires_in": -1, "interval": True}, ASSUMED_LIFE, DEFAULT_INTERVAL),
        ({"expires_in": 86400, "interval": "soon"}, LONGEST_LIFE, DEFAULT_INTERVAL),
        ({"expires_in": 10**400, "interval": []}, ASSUMED_LIFE, DEFAULT_INTERVAL),
    ],
)
def test_times_that_are_none_take_their_defaults(said: dict[str, Any], life: float, interval: float) -> None:
    """Five seconds between polls where nothing is said; no provider gets polled without a pause."""
    request = read(**said)
    assert (request.life, request.interval) == (life, interval)


def test_the_name_before_the_standard_is_understood() -> None:
    """Some providers kept it."""
    assert read(verification_uri=None, verification_url=f"{ISSUER}/old").prompt.verification_uri == f"{ISSUER}/old"


@pytest.mark.parametrize("uri", ["http://sso.example/device", "javascript:alert(1)", "file:///etc/passwd"])
def test_the_user_is_sent_to_no_unsafe_place(uri: str) -> None:
    """https, or this machine; a picture of such a place is not shown either."""
    with pytest.raises(ProviderError):
        read(verification_uri=uri)
    assert read(verification_uri_complete=uri).prompt.verification_uri_complete == ""
    assert read(verification_uri="http://127.0.0.1:8080/device").prompt.verification_uri.endswith("/device")


@pytest.mark.parametrize("missing", ["device_code", "user_code", "verification_uri"])
@pytest.mark.parametrize("value", [None, "", 5, "a\x1b[2J"])
def test_without_code_or_place_there_is_no_sign_in(missing: str, value: object) -> None:
    """Nor with one that would do something to the terminal."""
    with pytest.raises(SignInError, match="without a code or a place") as caught:
        read(**{missing: value})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b'{"error": "unauthorized_client", "error_description": "s3cret"}', "(unauthorized_client)"),
        (400, b'{"error": "<b>s3cret</b>"}', "it answers 400"),
        (404, b"<html>s3cret", "it answers 404"),
        (200, b"", "without a code"),
    ],
)
def test_a_refusal_is_told_without_the_providers_words(status: int, body: bytes, told: str) -> None:
    """The known code, or the status."""
    with pytest.raises(SignInError) as caught:
        read_device_answer(status, body, ISSUER)
    assert told in str(caught.value)
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


@given(
    st.dictionaries(
        st.sampled_from([*ANSWER, "verification_url"]),
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from([*ANSWER.values()]),
    )
)
def test_any_answer_is_judged(changes: dict[str, Any]) -> None:
    """It is something to show and to wait for, or an error of its own kind."""
    try:
        request = read_device_answer(200, json.dumps({**ANSWER, **changes}).encode(), ISSUER)
    except (SignInError, ProviderError):
        return
    assert 0 < request.life <= LONGEST_LIFE
    assert request.interval > 0
    assert request.prompt.user_code.isprintable()


@pytest.mark.parametrize(
    ("outcome", "interval", "expected"),
    [
        (Transient("", error="authorization_pending"), 5, 5),
        (Transient("", error="slow_down"), 5, 5 + SLOWER),
        (Transient("no connection"), 5, 10),
        (Transient("503", answer_lost=True), 40, LONGEST_INTERVAL),
        (Transient("no connection"), 90, 90),
    ],
)
def test_the_pace(outcome: Transient, interval: float, expected: float) -> None:
    """Pending goes on as before, slow_down adds five seconds, no answer doubles."""
    assert interval_after(outcome, interval) == expected


@given(st.sampled_from(["", "authorization_pending", "slow_down", "server_error"]), st.floats(0.1, 10_000))
def test_it_never_gets_faster(error: str, interval: float) -> None:
    """Whatever is answered."""
    assert interval_after(Transient("", error=error), interval) >= interval


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Rejected("invalid_grant"), "does not know the code any more"),
        (Transient("", error="access_denied"), "was refused"),
        (Transient("", error="expired_token"), "nobody entered the code in time"),
        (Transient("x (unauthorized_client)", client_refused=True, error="unauthorized_client"), "unauthorized_client"),
    ],
)
def test_what_ends_it(outcome: Transient | Rejected, told: str) -> None:
    """Each with what to do."""
    with pytest.raises(SignInError, match=told) as caught:
        interval_after(outcome, 5)
    assert caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"user_code": "\x1b[2J"},
        {"user_code": "A\nhint: B"},
        {"user_code": "\u202eA"},
        {"user_code": "A" * 65},
        {"verification_uri": f"{ISSUER}/\x1b]0;x\x07"},
        {"verification_uri": f"{ISSUER}/{'x' * 9000}"},
    ],
)
def test_what_would_disturb_the_terminal_is_not_shown(changes: dict[str, str]) -> None:
    """Control characters, text that runs backwards, or screens full of it."""
    with pytest.raises(SignInError, match="without a code or a place to enter it"):
        read(**changes)


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "http://sso.example/device", "file:///etc/passwd", "data:,x"])
def test_only_web_pages_are_shown(uri: str) -> None:
    """A user would open it, or scan it."""
    with pytest.raises(ProviderError):
        read(verification_uri=uri)
    assert read(verification_uri_complete=uri).prompt.verification_uri_complete == ""


def test_the_page_may_be_one_of_a_web_application() -> None:
    """Whose pages stand behind a "#"."""
    assert read(verification_uri=f"{ISSUER}/#/device").prompt.verification_uri == f"{ISSUER}/#/device"


@pytest.mark.parametrize(("error", "mend"), [("invalid_client", "check the client_id"), ("server_error", "--paste")])
def test_a_refusal_names_what_mends_it(error: str, mend: str) -> None:
    """Another way to sign in alone does not help a client that the provider does not know."""
    with pytest.raises(SignInError) as caught:
        read_device_answer(400, json.dumps({"error": error}).encode(), ISSUER)
    assert mend in caught.value.hint

from __future__ import annotations

import pytest

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.authorization import error_of, is_loopback_callback, way_back
from jmap_proxy.sandbox.grants import challenge_of
from tests.sandbox.helpers import CALLBACK, VERIFIER

SOUND = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("http://127.0.0.1:1/callback", True),
        ("http://[::1]:65535/callback", True),
        ("http://localhost/callback", True),
        ("https://127.0.0.1/callback", False),
        ("http://127.0.0.1.evil.example/callback", False),
        ("http://127.0.0.1@evil.example/callback", False),
        ("http://user@127.0.0.1/callback", False),
        ("http://127.0.0.1/other", False),
        ("http://127.0.0.1/callback?a=b", False),
        ("http://127.0.0.1/callback#f", False),
        ("http://127.0.0.1:99999/callback", False),
        ("http://[::1/callback", False),
        ("", False),
    ],
)
def test_only_loopback_callbacks_are_trusted(uri: str, good: bool) -> None:
    """Any port of a loopback host with the path /callback is trusted, and nothing else (RFC 8252 §7.3)."""
    assert is_loopback_callback(uri) is good


def test_a_sound_request_is_granted_unless_the_user_refuses() -> None:
    """Only the user's own refusal stands between a sound request and its code."""
    assert error_of(SOUND, ProviderSettings()) == ""
    assert error_of(SOUND, ProviderSettings(deny=True)) == "access_denied"


def test_the_way_back_is_escaped() -> None:
    """Whatever the state holds comes back as one parameter."""
    params = {**SOUND, "state": "a&code=evil#"}
    url = way_back(params, {"code": "c"}, "http://127.0.0.1:1", ProviderSettings(iss_in_callback=False))
    assert url == f"{CALLBACK}?code=c&state=a%26code%3Devil%23"

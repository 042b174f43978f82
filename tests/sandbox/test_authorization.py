from __future__ import annotations

from typing import Any

import pytest

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.authorization import RefusedRequestError, check_request, granted_scope, way_back
from jmap_proxy.sandbox.clients import configured_client
from jmap_proxy.sandbox.grants import challenge_of
from tests.sandbox.helpers import CALLBACK, VERIFIER

SOUND = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}


def test_a_sound_request_is_granted_unless_the_user_refuses() -> None:
    """Only the user's own refusal stands between a sound request and its code."""
    check_request(SOUND, configured_client(ProviderSettings()), ProviderSettings())
    with pytest.raises(RefusedRequestError, match="access_denied"):
        check_request(SOUND, configured_client(ProviderSettings()), ProviderSettings(deny=True))


def test_the_way_back_is_escaped() -> None:
    """Whatever the state holds comes back as one parameter."""
    params = {**SOUND, "state": "a&code=evil#"}
    url = way_back(params, {"code": "c"}, "http://127.0.0.1:1", ProviderSettings(iss_in_callback=False))
    assert url == f"{CALLBACK}?code=c&state=a%26code%3Devil%23"


def refusal(settings: ProviderSettings, **changes: str) -> str:
    """The error code of a request, empty if it is granted."""
    try:
        check_request({**SOUND, **changes}, configured_client(settings), settings)
    except RefusedRequestError as error:
        return error.code
    return ""


def test_unknown_scopes_can_be_refused() -> None:
    """One of them is enough; without the setting nobody looks."""
    assert refusal(ProviderSettings(refuse_scopes=True), scope="openid nonsense") == "invalid_scope"
    assert refusal(ProviderSettings(refuse_scopes=True), scope="openid offline_access") == ""
    assert refusal(ProviderSettings(), scope="openid nonsense") == ""


@pytest.mark.parametrize(
    ("settings", "resource", "error"),
    [
        (ProviderSettings(required_resource="https://m.example/s"), {}, "invalid_target"),
        (
            ProviderSettings(required_resource="https://m.example/s"),
            {"resource": "https://m.example"},
            "invalid_target",
        ),
        (ProviderSettings(required_resource="https://m.example/s"), {"resource": "https://m.example/s"}, ""),
        (ProviderSettings(refuse_resource=True), {"resource": "https://m.example"}, "invalid_request"),
        (ProviderSettings(refuse_resource=True), {}, ""),
        (ProviderSettings(), {"resource": "https://m.example"}, ""),
    ],
)
def test_a_resource_is_needed_or_refused(settings: ProviderSettings, resource: dict[str, str], error: str) -> None:
    """Fastmail wants its Session's URL there and nothing else (RFC 8707 §2), Entra wants nothing."""
    assert refusal(settings, **resource) == error


def test_what_is_granted_can_be_less() -> None:
    """Of what was asked for, and never more."""
    settings = ProviderSettings(grant_scopes=("openid", "mail"))
    assert granted_scope("openid offline_access", settings) == "openid"
    assert granted_scope("a b", ProviderSettings()) == "a b"


@pytest.mark.parametrize(
    ("settings", "asked", "back"),
    [
        ({"callback_host": "localhost"}, "http://127.0.0.1:4321/callback", "http://localhost:4321/callback"),
        ({"callback_host": "localhost"}, "http://[::1]:4321/callback", "http://localhost:4321/callback"),
        ({"drop_callback_port": True}, "http://127.0.0.1:4321/callback", "http://127.0.0.1/callback"),
        ({"drop_callback_port": True}, "http://[::1]:4321/callback", "http://[::1]/callback"),
        ({"drop_callback_port": True}, "http://localhost/callback", "http://localhost/callback"),
        ({"callback_host": "localhost", "drop_callback_port": True}, CALLBACK, "http://localhost/callback"),
    ],
)
def test_the_way_back_can_go_astray(settings: dict[str, Any], asked: str, back: str) -> None:
    """To another name of the loopback, or to a port that nobody asked for; all else is as it was."""
    settings = {**settings, "iss_in_callback": False}
    url = way_back({**SOUND, "redirect_uri": asked}, {"code": "c"}, "", ProviderSettings(**settings))
    assert url == f"{back}?code=c"


def test_a_redirect_uri_may_have_a_query() -> None:
    """The answer is added to it (RFC 6749 §3.1.2)."""
    url = way_back({"redirect_uri": "http://[::1]/?a=b"}, {"code": "c"}, "i", ProviderSettings(iss_in_callback=False))
    assert url == "http://[::1]/?a=b&code=c"

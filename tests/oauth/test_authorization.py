from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.authorization import (
    Attempt,
    authorization_request,
    authorization_url,
    code_challenge,
    is_for,
    read_callback,
    read_pushed,
)
from jmap_proxy.oauth.client import OAuthClient
from jmap_proxy.oauth.metadata import ProviderMetadata

ISSUER = "https://sso.example"
ATTEMPT = Attempt(state="the-state", nonce="the-nonce", code_verifier="v" * 43)
REDIRECT = "http://127.0.0.1:1234/callback"

parameters = st.dictionaries(
    st.sampled_from(["code", "state", "iss", "error", "x"]), st.lists(st.text(max_size=9), max_size=3)
)


def metadata(**changes: Any) -> ProviderMetadata:
    """Metadata with members replaced."""
    fields: dict[str, Any] = {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/token",
        "authorization_endpoint": f"{ISSUER}/authorize",
        "code_challenge_methods_supported": ("plain", "S256"),
    }
    return ProviderMetadata(**{**fields, **changes})


def query_of(client: dict[str, Any], login_hint: str = "", **changes: Any) -> dict[str, list[str]]:
    """The query of the authorization URL."""
    provider, me = metadata(**changes), OAuthClient(issuer=ISSUER, client_id="me", **client)
    asked = authorization_request(provider, me, ATTEMPT, redirect_uri=REDIRECT, login_hint=login_hint)
    url = authorization_url(provider, asked)
    return parse_qs(urlsplit(url).query, strict_parsing=True)


def test_the_challenge_is_that_of_the_standard() -> None:
    """RFC 7636 appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_an_attempt_shows_nothing() -> None:
    """The random values are not part of the repr."""
    assert repr(ATTEMPT) == "Attempt()"


def test_a_bare_client_sends_only_what_is_needed() -> None:
    """Without scopes and resource neither they nor nonce, prompt and login_hint are sent."""
    assert query_of({}) == {
        "response_type": ["code"],
        "client_id": ["me"],
        "redirect_uri": [REDIRECT],
        "state": ["the-state"],
        "code_challenge": [code_challenge("v" * 43)],
        "code_challenge_method": ["S256"],
    }


def test_wishes_are_sent() -> None:
    """Scopes, resource, nonce, consent for offline access, and who is meant."""
    query = query_of({"scopes": ("openid", "offline_access"), "resource": "https://m.example/s"}, "a@example.com")
    assert query["scope"] == ["openid offline_access"]
    assert query["resource"] == ["https://m.example/s"]
    assert query["nonce"] == ["the-nonce"]
    assert query["prompt"] == ["consent"]
    assert query["login_hint"] == ["a@example.com"]


def test_the_endpoints_own_query_is_kept() -> None:
    """An authorization endpoint may have a query (RFC 6749 §3.1)."""
    query = query_of({}, authorization_endpoint=f"{ISSUER}/authorize?tenant=5")
    assert query["tenant"] == ["5"]
    assert query["client_id"] == ["me"]


def test_a_provider_that_does_not_advertise_pkce_is_asked_with_it() -> None:
    """Many providers do PKCE without saying so."""
    assert query_of({}, code_challenge_methods_supported=())["code_challenge_method"] == ["S256"]


@pytest.mark.parametrize("changes", [{"authorization_endpoint": ""}, {"code_challenge_methods_supported": ("plain",)}])
def test_a_provider_without_the_code_flow_is_refused(changes: dict[str, Any]) -> None:
    """No endpoint, or PKCE without S256: there is no safe way to sign in."""
    with pytest.raises(SignInError, match="S256"):
        query_of({}, **changes)


@pytest.mark.parametrize("states", [[], [""], ["other"], ["the-state", "the-state"], ["the-stat\xe9"], ["\ud800"]])
def test_only_the_right_state_belongs(states: list[str]) -> None:
    """A missing, wrong or doubled state is another's."""
    assert not is_for({"state": states, "code": ["x"]}, ATTEMPT)
    assert is_for({"state": ["the-state"]}, ATTEMPT)


@given(parameters)
def test_no_redirect_makes_the_check_fail(visit: dict[str, list[str]]) -> None:
    """Whatever comes, it belongs only with exactly the right state."""
    assert is_for(visit, ATTEMPT) == (visit.get("state") == ["the-state"])


def test_the_code_is_read() -> None:
    """With the right issuer, or none from a provider that does not promise it."""
    assert read_callback({"code": ["c"], "iss": [ISSUER]}, metadata()) == "c"
    assert read_callback({"code": ["c"], "unknown": ["x"]}, metadata()) == "c"


@pytest.mark.parametrize(
    ("visit", "told"),
    [
        ({"code": ["c", "d"]}, "repeats"),
        ({"code": ["c"], "iss": [ISSUER, ISSUER]}, "repeats"),
        ({"code": ["c"], "iss": ["https://evil.example"]}, "another identity provider"),
        ({"code": ["c"], "iss": [ISSUER + "/"]}, "another identity provider"),
        ({"error": ["access_denied"], "iss": ["https://evil.example"]}, "another identity provider"),
        ({"code": ["c"], "error": ["access_denied"]}, "refused"),
        ({"state": ["s"]}, "no code"),
        ({"code": [""]}, "no code"),
    ],
)
def test_a_redirect_that_does_not_hold_is_refused(visit: dict[str, list[str]], told: str) -> None:
    """Doubled parameters, another issuer (mix-up), a refusal or a missing code end the sign-in."""
    with pytest.raises(SignInError, match=told):
        read_callback(visit, metadata())


def test_a_promised_issuer_must_be_there() -> None:
    """RFC 9207 §2.4: what the metadata promises cannot be left out."""
    with pytest.raises(SignInError, match="promised"):
        read_callback({"code": ["c"]}, metadata(authorization_response_iss_parameter_supported=True))


@pytest.mark.parametrize(
    "error",
    [
        "access_denied",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "server_error",
        "temporarily_unavailable",
    ],
)
def test_known_refusals_come_with_a_hint(error: str) -> None:
    """Each standard error code names what mends it."""
    with pytest.raises(SignInError, match=error) as caught:
        read_callback({"error": [error]}, metadata())
    assert caught.value.hint


def test_an_unknown_refusal_is_not_repeated() -> None:
    """What anybody could have put into a URL is not shown."""
    with pytest.raises(SignInError) as caught:
        read_callback({"error": ["<b>call 555</b>"], "error_description": ["pay here"]}, metadata())
    assert "555" not in str(caught.value)
    assert "pay" not in str(caught.value)


@given(parameters)
def test_a_redirect_gives_a_code_or_a_sign_in_error(visit: dict[str, list[str]]) -> None:
    """Nothing else ever comes of a redirect, and a code is the one that was sent."""
    try:
        code = read_callback(visit, metadata())
    except SignInError:
        return
    assert [code] == visit["code"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ssh://-oProxyCommand=touch%20x/",
        "http://sso.example/authorize",
        "wss://sso.example/authorize",
        "//sso.example/authorize",
        "https://sso.example/a b",
        'https://sso.example/"&calc',
        "https://sso.example/`touch x`",
        "https://sso.example/\nhttps://evil.example/",
        "https://sso.example/authorize#fragment",
        "https://sso.example/\u202eauthorize",
    ],
)
def test_the_browser_is_sent_to_web_pages_only(endpoint: str) -> None:
    """The system opens the URL: a hostile provider could have it start programs (CVE-2025-6514)."""
    with pytest.raises((ProviderError, SignInError)):
        authorization_url(metadata(authorization_endpoint=endpoint), {"client_id": "me"})


def test_a_pushed_request_is_named_by_the_provider() -> None:
    """RFC 9126 has 201; some say 200."""
    for status in (200, 201):
        assert read_pushed(status, b'{"request_uri": "urn:x:1", "expires_in": 60}', metadata()) == "urn:x:1"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b'{"error": "invalid_scope", "error_description": "s3cret"}', "refuses the scopes"),
        (401, b'{"error": "invalid_client"}', "does not know the client"),
        (400, b'{"error": "s3cret"}', "not standard"),
        (500, b"<html>s3cret", "answers 500"),
        (201, b"{}", "answers 201"),
        (201, b'{"request_uri": 5}', "answers 201"),
        (201, rb'{"request_uri": "\ud800"}', "answers 201"),
        (201, rb'{"request_uri": "urn:x:\u001b[2J"}', "answers 201"),
        (302, b'{"request_uri": "urn:x:1"}', "answers 302"),
    ],
)
def test_a_request_that_cannot_be_pushed_ends_the_sign_in(status: int, body: bytes, told: str) -> None:
    """With the reason, and without the provider's words."""
    with pytest.raises(SignInError, match=told) as caught:
        read_pushed(status, body, metadata())
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_a_code_that_no_form_can_hold_is_none() -> None:
    """RFC 6749 appendix A.11; raw bytes in the browser's request come as halves of surrogates."""
    with pytest.raises(SignInError, match="no code that can be used"):
        read_callback({"code": ["\udcff"]}, metadata())


@pytest.mark.parametrize(
    "visit",
    [
        {"code": ["a", "b"]},
        {"code": ["a"], "iss": ["https://other.example"]},
        {},
        {"error": ["access_denied"]},
        {"error": ["not_standard"]},
    ],
)
def test_every_redirect_that_fails_has_a_way_out(visit: dict[str, list[str]]) -> None:
    """The page in the browser tells it, too."""
    with pytest.raises(SignInError) as caught:
        read_callback(visit, metadata())
    assert caught.value.hint

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from jmap_proxy.oauth.client import OAuthClient
from jmap_proxy.oauth.client_key import ASSERTION_TYPE, parse_client_key
from jmap_proxy.oauth.metadata import ProviderMetadata
from jmap_proxy.tokens.registration import Registration
from tests.oauth.helpers import token_set

NOW = 1_800_000_000.0
REGISTERED = Registration(
    issuer="https://sso.example",
    client_id="new-one",
    client_secret="reg-secret",
    token_endpoint_auth_method="client_secret_post",
    registered_at=NOW,
)


@cache
def private_key() -> ECKey:
    """A key for signing."""
    return ECKey.generate_key("P-256")


def metadata(*methods: str) -> ProviderMetadata:
    """Metadata of a provider that knows these ways to prove a client."""
    return ProviderMetadata(issuer="i", token_endpoint="t", token_endpoint_auth_methods_supported=methods)


def test_a_public_client_names_itself_in_the_form() -> None:
    """`client_id` is always sent, with no Authorization."""
    client = OAuthClient(issuer="i", client_id="me")
    assert client.authenticate(metadata("none"), {"a": "b"}, 0) == ({"a": "b", "client_id": "me"}, {})


def test_a_secret_goes_by_basic_with_both_parts_encoded() -> None:
    """Id and secret are form-encoded before they are joined (RFC 6749 §2.3.1); the form holds no secret."""
    client = OAuthClient(issuer="i", client_id="m:e", client_secret="s p%")
    form, headers = client.authenticate(metadata("client_secret_basic", "client_secret_post"), {}, 0)
    assert form == {"client_id": "m:e"}
    scheme, _, value = headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(value)) == ("Basic", b"m%3Ae:s+p%25")


def test_a_secret_goes_by_form_where_the_provider_takes_nothing_else() -> None:
    """`client_secret_post` alone means the form."""
    client = OAuthClient(issuer="i", client_id="me", client_secret="s")
    assert client.authenticate(metadata("client_secret_post"), {}, 0) == ({"client_id": "me", "client_secret": "s"}, {})


def test_the_secret_is_not_shown() -> None:
    """The repr leaves it out."""
    assert "hidden-one" not in repr(OAuthClient(issuer="i", client_id="me", client_secret="hidden-one"))


def client(**changes: Any) -> OAuthClient:
    """A client with something changed."""
    return OAuthClient(**{"issuer": "i", "client_id": "me", **changes})


@pytest.mark.parametrize(
    ("said", "taken", "shown"),
    [
        ("client_secret_post", ("client_secret_basic",), "form"),
        ("client_secret_basic", ("client_secret_post",), "header"),
        ("auto", (), "header"),
        ("auto", ("client_secret_post", "client_secret_basic"), "header"),
        ("auto", ("client_secret_post", "private_key_jwt"), "form"),
        ("none", ("client_secret_basic",), ""),
    ],
)
def test_what_is_said_counts_more_than_what_is_taken(said: str, taken: tuple[str, ...], shown: str) -> None:
    """The configuration, or the registration, knows how this client proves itself."""
    form, headers = client(client_secret="s", method=said).authenticate(metadata(*taken), {}, NOW)
    assert ("client_secret" in form) is (shown == "form")
    assert ("Authorization" in headers) is (shown == "header")


@pytest.mark.parametrize("method", ["auto", "private_key_jwt"])
def test_a_key_signs_an_assertion(method: str) -> None:
    """For the issuer alone, and another one for each request; no secret and no Authorization goes along."""
    me = client(client_key=parse_client_key(private_key().as_pem(private=True)), method=method)
    seen = []
    for _ in range(2):
        form, headers = me.authenticate(metadata("client_secret_basic"), {"a": "b"}, NOW)
        assert headers == {}
        assert form.keys() == {"a", "client_id", "client_assertion_type", "client_assertion"}
        assert form["client_assertion_type"] == ASSERTION_TYPE
        seen.append(jwt.decode(form["client_assertion"], private_key()).claims)
    assert all(claims["aud"] == "i" and claims["iss"] == claims["sub"] == "me" for claims in seen)
    assert all(0 < claims["exp"] - NOW <= 60 for claims in seen)
    assert seen[0]["jti"] != seen[1]["jti"]


def test_a_registered_client_keeps_its_wishes() -> None:
    """Who it is comes from the registration, what it wants from the configuration."""
    made = client(client_id="", scopes=("mail",), resource="r", client_secret="s").registered(REGISTERED)
    assert (made.issuer, made.client_id, made.client_secret) == ("https://sso.example", "new-one", "reg-secret")
    assert (made.method, made.scopes, made.resource) == ("client_secret_post", ("mail",), "r")
    assert "reg-secret" not in repr(made)


@pytest.mark.parametrize(
    ("allowed", "asked"),
    [("", ("mail", "files")), ("files more", ("files",)), ("other", ("mail", "files"))],
)
def test_a_registered_client_asks_for_what_it_may(allowed: str, asked: tuple[str, ...]) -> None:
    """An answer that allows nothing of it is not understood, and the provider may say so itself."""
    registration = msgspec.structs.replace(REGISTERED, scope=allowed)
    assert client(scopes=("mail", "files")).registered(registration).scopes == asked


def test_tokens_say_what_the_configuration_leaves_open() -> None:
    """Issuer, client and resource of the sign-in, and the client that was registered for it."""
    nobody = client(issuer="", client_id="")
    plain = nobody.of(token_set("https://sso.example", client_id="x", resource="r"))
    assert (plain.issuer, plain.client_id, plain.resource, plain.client_secret) == ("https://sso.example", "x", "r", "")
    tokens = token_set("https://sso.example", client_id="new-one", registration=REGISTERED)
    assert nobody.of(tokens) == nobody.registered(REGISTERED)


@pytest.mark.parametrize("said", [{"issuer": "https://evil.example"}, {"issuer": "https://sso.example"}])
def test_what_the_configuration_says_stays(said: dict[str, str]) -> None:
    """Another issuer gets neither the tokens nor the secret of the registered client."""
    tokens = token_set("https://sso.example", client_id="new-one", registration=REGISTERED)
    other = client(client_id="", **said).of(tokens)
    assert other.issuer == said["issuer"]
    assert bool(other.client_secret) is (said["issuer"] == "https://sso.example")
    configured = client(client_id="mine", **said).of(tokens)
    assert (configured.client_id, configured.client_secret) == ("mine", "")

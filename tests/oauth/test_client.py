from __future__ import annotations

import base64

from jmap_proxy.oauth.client import OAuthClient
from jmap_proxy.oauth.metadata import ProviderMetadata


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

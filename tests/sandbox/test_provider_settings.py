from __future__ import annotations

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.provider_settings import metadata, overridden


def test_a_representation_shows_no_secret() -> None:
    """The settings can be printed."""
    text = repr(ProviderSettings(client_secret="hush"))
    assert "hush" not in text
    assert "expires_in=AUTOMATIC" in text


def test_overrides_replace_add_and_remove() -> None:
    """A value replaces or adds, None removes."""
    assert overridden({"a": 1, "b": 2}, {"a": 3, "b": None, "c": 4}) == {"a": 3, "c": 4}


ISSUER = "http://127.0.0.1:1"


def test_every_endpoint_lies_under_the_issuer() -> None:
    """No URL in the document leads elsewhere."""
    document = metadata(ISSUER, ProviderSettings())
    urls = [value for value in document.values() if str(value).startswith("http")]
    assert len(urls) == 5
    assert all(url.startswith(ISSUER) for url in urls)


def test_the_document_follows_the_settings() -> None:
    """What the redirect back will hold, and how clients show themselves, is said truly."""
    document = metadata(ISSUER, ProviderSettings(client_secret="s", iss_in_callback=False))
    assert document["authorization_response_iss_parameter_supported"] is False
    assert document["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]

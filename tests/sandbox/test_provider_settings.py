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


def test_what_is_switched_on_is_offered() -> None:
    """Registration, device flow and every way to authenticate; none of it otherwise."""
    settings = ProviderSettings(registration="open", device=True, scopes=("mail",))
    document = metadata(ISSUER, settings)
    assert document["registration_endpoint"] == f"{ISSUER}/register"
    assert document["device_authorization_endpoint"] == f"{ISSUER}/device_authorization"
    assert document["scopes_supported"] == ["mail"]
    assert set(document["token_endpoint_auth_methods_supported"]) == {
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    }
    assert {"client_credentials", "urn:ietf:params:oauth:grant-type:device_code"} <= set(
        document["grant_types_supported"]
    )
    plain = metadata(ISSUER, ProviderSettings())
    assert plain["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert not {"registration_endpoint", "device_authorization_endpoint"} & plain.keys()


def test_methods_can_be_narrowed() -> None:
    """To those that the settings name, of those that a client can take."""
    narrowed = ProviderSettings(client_secret="s", auth_methods=("client_secret_post", "private_key_jwt"))
    assert narrowed.methods() == ("client_secret_post",)
    narrowed.registration = "open"
    assert narrowed.methods() == ("client_secret_post", "private_key_jwt")


def test_no_initial_access_token_is_in_a_repr() -> None:
    """Nor what a refusal says."""
    text = repr(ProviderSettings(initial_access_token="hush", error_description="hush"))
    assert "hush" not in text

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import ProviderError
from jmap_proxy.oauth.metadata import metadata_urls, parse_metadata

ISSUER = "https://sso.example/realm"


def document(**changes: Any) -> bytes:
    """A metadata document with members replaced."""
    return json.dumps({"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", **changes}).encode()


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            "https://sso.example",
            (
                "https://sso.example/.well-known/oauth-authorization-server",
                "https://sso.example/.well-known/openid-configuration",
            ),
        ),
        (
            "https://sso.example/a/b/",
            (
                "https://sso.example/.well-known/oauth-authorization-server/a/b",
                "https://sso.example/a/b/.well-known/openid-configuration",
            ),
        ),
    ],
)
def test_both_standards_places_are_named(issuer: str, urls: tuple[str, ...]) -> None:
    """RFC 8414 §3.1 inserts into the path, OIDC appends to it; a slash at the end is taken off first."""
    assert metadata_urls(issuer) == urls


@pytest.mark.parametrize("issuer", ["", "sso.example", "ftp://x", "https://x/?a=b", "https://x/#f", "https://u@x/"])
def test_an_issuer_that_is_none_is_refused(issuer: str) -> None:
    """Not a URL, or one with query, fragment or user."""
    with pytest.raises(ProviderError):
        metadata_urls(issuer)


def test_what_is_missing_null_or_unknown_takes_its_default() -> None:
    """Some providers write null for what they do not have."""
    metadata = parse_metadata(document(jwks_uri=None, scopes_supported=None, brand_new={"a": 1}), ISSUER)
    assert metadata.jwks_uri == ""
    assert metadata.scopes_supported == ()
    assert metadata.token_endpoint_auth_methods_supported == ()


@pytest.mark.parametrize("claimed", ["https://evil.example", ISSUER + "/", ISSUER.upper(), ""])
def test_another_issuers_document_is_refused(claimed: str) -> None:
    """The match is exact, a slash counts (RFC 8414 §3.3)."""
    with pytest.raises(ProviderError, match="that of issuer") as caught:
        parse_metadata(document(issuer=claimed), ISSUER)
    assert "slash" in caught.value.hint


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b"\xff", document(token_endpoint=5), document(issuer=None), b'{"x":' + b"[" * 10**5],
)
def test_a_document_of_another_shape_is_refused(body: bytes) -> None:
    """Not JSON, no object, or a member of the wrong type."""
    with pytest.raises(ProviderError, match="RFC 8414"):
        parse_metadata(body, ISSUER)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_in_one_way(body: bytes) -> None:
    """Nothing but ProviderError comes of a document that is none."""
    with pytest.raises(ProviderError):
        parse_metadata(body, ISSUER)

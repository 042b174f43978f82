from __future__ import annotations

import json

import pytest

from jmap_proxy.autodiscovery.protected_resource import (
    ProtectedResource,
    metadata_place,
    metadata_places,
    parse_protected_resource,
    usable_issuers,
)
from jmap_proxy.errors import DiscoveryError

SESSION = "https://mail.example.com/jmap/session"


@pytest.mark.parametrize(
    ("reference", "place"),
    [
        ("/.well-known/x", "https://mail.example.com/.well-known/x"),
        ("meta", "https://mail.example.com/jmap/meta"),
        ("https://other.example/x?y", "https://other.example/x?y"),
    ],
)
def test_the_named_place_may_be_relative(reference: str, place: str) -> None:
    """It is resolved against the URL that was asked (measured: Stalwart)."""
    assert metadata_place(reference, SESSION) == place


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("http://mail.example.com/x", "plain http"),
        ("https://127.0.0.1/x", "this machine"),
        ("http://localhost:631/x", "this machine"),
        ("file:///etc/passwd", "no URL"),
        ("a b", "no URL"),
        ("", "no URL"),
    ],
)
def test_a_server_cannot_send_us_anywhere(reference: str, told: str) -> None:
    """Neither over plain http nor to what listens on this machine; the way out is named."""
    with pytest.raises(DiscoveryError, match=told) as caught:
        metadata_place(reference, SESSION)
    assert "--issuer" in caught.value.hint


def test_a_server_of_this_machine_may_name_this_machine() -> None:
    """As the sandbox does."""
    assert metadata_place("http://127.0.0.1:2/x", "http://127.0.0.1:1/") == "http://127.0.0.1:2/x"


def test_without_a_named_place_there_are_two() -> None:
    """With the path inserted (RFC 9728 §3.1), and without; once if there is no path."""
    root = "https://mail.example.com/.well-known/oauth-protected-resource"
    assert metadata_places(SESSION + "?x=y") == (f"{root}/jmap/session", root)
    assert metadata_places("https://mail.example.com/") == (root,)


@pytest.mark.parametrize("resource", [SESSION, "https://mail.example.com", "https://MAIL.example.com:443/other"])
def test_the_same_origin_is_enough(resource: str) -> None:
    """Stalwart names another path than the one that was asked for."""
    body = json.dumps({"resource": resource, "authorization_servers": ["https://sso.example.com"], "x": 1})
    found = parse_protected_resource(body.encode(), SESSION)
    assert found == ProtectedResource(resource=resource, authorization_servers=("https://sso.example.com",))


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.example/jmap",
        "http://mail.example.com/",
        "https://mail.example.com.evil/",
        "https://mail.example.com/\x1b[2J",
        "",
        "x",
    ],
)
def test_another_servers_metadata_is_refused(resource: str) -> None:
    """Else one server could have tokens made for another (RFC 9728 §3.3)."""
    with pytest.raises(DiscoveryError, match=r"is about .*, not about https://mail\.example\.com"):
        parse_protected_resource(json.dumps({"resource": resource}).encode(), SESSION)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b"\xff",
        b'{"resource": 1}',
        b'{"resource": "https://mail.example.com", "authorization_servers": "x"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_metadata_is_told(body: bytes) -> None:
    """With a way out."""
    with pytest.raises(DiscoveryError, match="not as RFC 9728 asks") as caught:
        parse_protected_resource(body, SESSION)
    assert "--issuer" in caught.value.hint


def test_null_counts_as_left_out() -> None:
    """As some servers write what they do not have."""
    body = b'{"resource": "https://mail.example.com", "scopes_supported": null}'
    assert parse_protected_resource(body, SESSION).scopes_supported == ()


def test_issuers_are_told_once_and_as_they_are() -> None:
    """An issuer is compared letter by letter later, so a slash at its end stays."""
    issuers = ["https://sso.example.com/", "https://b.example", "https://sso.example.com/"]
    assert usable_issuers(issuers, SESSION) == ("https://sso.example.com/", "https://b.example")


@pytest.mark.parametrize(
    "issuer",
    ["http://sso.example.com", "https://localhost", "sso", "https://a.example/\x1b[2J", "https://u:p@a.example"],
)
def test_an_issuer_that_cannot_be_used_is_told(issuer: str) -> None:
    """And it does not write to the terminal."""
    with pytest.raises(DiscoveryError, match="identity provider") as caught:
        usable_issuers([issuer], SESSION)
    assert "\x1b" not in caught.value.detail

from __future__ import annotations

import json

import pytest

from jmap_proxy.autodiscovery.webfinger import ISSUER, issuers_of, webfinger_url


def test_the_question_is_encoded() -> None:
    """RFC 7033 §4.1: both parameters percent-encoded."""
    assert webfinger_url("https://mail.example.com", "acct:a+b@example.com") == (
        "https://mail.example.com/.well-known/webfinger?resource=acct%3Aa%2Bb%40example.com"
        "&rel=http%3A%2F%2Fopenid.net%2Fspecs%2Fconnect%2F1.0%2Fissuer"
    )


def test_only_the_issuers_count() -> None:
    """Other relations and links without a place are passed over; an issuer counts once."""
    links = [
        {"rel": "http://webfinger.net/rel/avatar", "href": "https://x.example/a.png"},
        {"rel": ISSUER, "href": "https://sso.example.com"},
        {"rel": ISSUER, "href": None},
        {"rel": ISSUER, "href": "https://sso.example.com"},
    ]
    assert issuers_of(json.dumps({"subject": "acct:a@b", "links": links}).encode()) == ("https://sso.example.com",)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"links": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_descriptor_names_nobody(body: bytes) -> None:
    """A web application answers any path with a page of its own."""
    assert issuers_of(body) == ()

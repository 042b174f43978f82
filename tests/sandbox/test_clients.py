from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.clients import configured_client, is_loopback_callback, redirect_matches


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


@pytest.mark.parametrize(
    ("registered", "asked", "good"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:4321/callback", True),
        ("http://127.0.0.1:1/callback", "http://127.0.0.1/callback", True),
        ("http://[::1]/callback", "http://[::1]:7/callback", True),
        ("http://127.0.0.1/callback?a=1", "http://127.0.0.1:7/callback?a=1", True),
        ("http://localhost:1/callback", "http://localhost:1/callback", True),
        ("https://app.example/back", "https://app.example/back", True),
        ("http://localhost:1/callback", "http://localhost:2/callback", False),
        ("http://127.0.0.1/callback", "http://localhost:4321/callback", False),
        ("http://127.0.0.1/callback", "http://[::1]:4321/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:4321/other", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:4321/callback?a=1", False),
        ("http://127.0.0.1/callback", "https://127.0.0.1/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1.evil.example/callback", False),
        ("http://127.0.0.1/callback", "http://evil@127.0.0.1/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1/callback#", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:99999/callback", False),
        ("https://app.example/back", "https://app.example:8443/back", False),
    ],
)
def test_only_the_port_of_a_loopback_address_is_free(registered: str, asked: str, good: bool) -> None:
    """All else of a registered redirect URI must be as it was registered (RFC 8252 §7.3)."""
    assert redirect_matches(registered, asked) is good


PORTS = st.none() | st.integers(0, 65535)


def _at(port: int | None, host: str, path: str) -> str:
    return f"http://{host}{'' if port is None else f':{port}'}{path}"


@given(PORTS, PORTS, st.sampled_from(["127.0.0.1", "[::1]"]), st.sampled_from(["", "/", "/callback", "/a?b=c"]))
def test_any_two_ports_of_a_loopback_address_match(one: int | None, other: int | None, host: str, path: str) -> None:
    """In both directions."""
    assert redirect_matches(_at(one, host, path), _at(other, host, path))


@given(st.text(alphabet="127.0@:[]\\/?#% a", max_size=20), st.text(alphabet=":/@\\?#9", max_size=6))
def test_no_disguise_matches(before: str, after: str) -> None:
    """Whatever is put around the loopback address, what matches leads to the address for another parser, too."""
    asked = f"http://{before}127.0.0.1{after}/callback"
    if redirect_matches("http://127.0.0.1/callback", asked):
        assert (URL(asked).host, URL(asked).path, URL(asked).user) == ("127.0.0.1", "/callback", None)


def test_a_public_client_gets_nothing_for_itself() -> None:
    """Tokens without a user are for those only who can prove who they are."""
    assert not configured_client(ProviderSettings()).may("client_credentials")
    assert configured_client(ProviderSettings(client_secret="s")).may("client_credentials")


def test_no_secret_is_in_a_repr() -> None:
    """A client can be printed."""
    assert "hush" not in repr(configured_client(ProviderSettings(client_secret="hush")))

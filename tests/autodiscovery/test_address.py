from __future__ import annotations

import pytest

from jmap_proxy.autodiscovery.address import MailAddress, parse_mail_address
from jmap_proxy.errors import DiscoveryError


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("alice@example.com", "alice", "example.com"),
        ("Alice.Smith+jmap@Mail.Example.COM", "Alice.Smith+jmap", "mail.example.com"),
        ("jürgen@bücher.example", "jürgen", "xn--bcher-kva.example"),
        ("alice@localhost", "alice", "localhost"),
    ],
)
def test_an_address_is_split(text: str, local: str, domain: str) -> None:
    """The domain becomes what DNS is asked for; the rest stays as typed."""
    assert parse_mail_address(text) == MailAddress(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "@example.com",
        "alice@",
        "a b@example.com",
        "alice@exa mple.com",
        "alice@example.com/x",
        "alice@example.com:8080",
        "alice@-x.example",
        "alice@x..example",
        "alice@[127.0.0.1]",
        "bob@evil.example@example.com",
        "alice\x1b@example.com",
        f"{'a' * 65}@example.com",
        f"alice@{'a' * 64}.example",
        f"alice@{'a.' * 130}example",
    ],
)
def test_what_is_no_address_is_told(text: str) -> None:
    """Nothing of it gets into a URL or a DNS question, and the terminal is not written to."""
    with pytest.raises(DiscoveryError, match="is no mail address") as caught:
        parse_mail_address(text)
    assert "\x1b" not in caught.value.detail


@pytest.mark.parametrize("username", ["alice@example.com", "ALICE@Example.com", "alice", "Alice"])
def test_a_user_is_recognised(username: str) -> None:
    """By the address or what stands before the "@"; case does not count."""
    assert parse_mail_address("alice@example.com").is_of(username)


@pytest.mark.parametrize("username", ["bob@example.com", "alice@example.org", "alic", "", "alice@example.com.evil"])
def test_somebody_else_is_recognised(username: str) -> None:
    """The same name at another domain is another person."""
    assert not parse_mail_address("alice@example.com").is_of(username)

from __future__ import annotations

import pytest

from jmap_proxy.addresses import Address
from jmap_proxy.clients.ways_in import WayIn, reachable, ways_in
from jmap_proxy.config import Config, parse_config
from jmap_proxy.errors import ConfigError

CA = "/state/tls/ca.pem"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a value to be understood


def config_of(listen: str = "", account: str = "", more: str = "") -> Config:
    """A configuration with the account `alice`."""
    return parse_config(f'[listen]\n{listen}\n[accounts.alice]\nserver = "https://mail.example.com"\n{account}\n{more}')


def ways(config: Config, unix: str = "") -> list[tuple[str, str, bool, str]]:
    """The ways in for alice, in short."""
    found = ways_in(config, "alice", authority_file=CA, unix=unix)
    return [(way.kind, way.shown, way.needs_key, way.ca_file) for way in found]


def test_the_default_is_plain_http() -> None:
    """With a key, and no authority to trust."""
    assert ways(config_of()) == [("http", "http://127.0.0.1:8620", True, "")]


def test_all_of_them() -> None:
    """The account's own port comes first, then the shared ones, then the Unix socket."""
    config = config_of('https = "[::1]:8621"', 'listen = "127.0.0.1:8630"')
    assert ways(config, "/state/proxy.sock") == [
        ("http", "http://127.0.0.1:8630", True, ""),
        ("http", "http://127.0.0.1:8620", True, ""),
        ("https", "https://[::1]:8621", True, CA),
        ("unix", "/state/proxy.sock", False, ""),
    ]


def test_a_certificate_of_the_users_own_needs_no_authority_of_ours() -> None:
    """Who has signed it is the user's business."""
    config = config_of('https = "127.0.0.1:8621"\ncert_file = "c.pem"\nkey_file = "k.pem"')
    assert ways(config)[1] == ("https", "https://127.0.0.1:8621", True, "")


def test_an_open_account_needs_no_key() -> None:
    """By the shared listeners, if it has no port of its own; else by that port alone."""
    assert ways(config_of(account='local_auth = "none"')) == [("http", "http://127.0.0.1:8620", False, "")]
    own = config_of(account='local_auth = "none"\nlisten = "127.0.0.1:8630"')
    assert [needs_key for _, _, needs_key, _ in ways(own)] == [False, True]


def test_the_unix_socket_needs_a_key_where_it_could_be_two_accounts() -> None:
    """Who comes in by it says only which user it is."""
    bob = '[accounts.bob]\nserver = "https://mail.example.com"'
    assert ways(config_of(more=bob), "/s")[-1] == ("unix", "/s", True, "")
    opened = config_of(account='local_auth = "none"', more=bob)
    assert ways(opened, "/s")[-1] == ("unix", "/s", False, "")


def test_a_port_that_the_kernel_chooses_cannot_be_told() -> None:
    """It is another one each time."""
    assert ways(config_of('http = "127.0.0.1:0"')) == []


def test_an_unknown_account_is_told() -> None:
    """With the ones that there are."""
    with pytest.raises(ConfigError, match="there is: alice"):
        ways_in(config_of(), "bob", authority_file=CA, unix="")


@pytest.mark.parametrize(
    ("host", "hosts", "origin"),
    [
        ("127.0.0.1", (), "https://127.0.0.1:8621"),
        ("::1", (), "https://[::1]:8621"),
        (EVERYWHERE, (), "https://127.0.0.1:8621"),
        (EVERYWHERE, ("mail.lan", "other"), "https://mail.lan:8621"),
        ("::", ("[fd00::1]",), "https://[fd00::1]:8621"),
    ],
)
def test_a_client_is_given_a_name_that_it_can_reach(host: str, hosts: tuple[str, ...], origin: str) -> None:
    """A listener on all addresses is reached by the first configured name."""
    assert str(reachable("https", Address(host, 8621), hosts)) == origin


def test_what_settings_are_made_of() -> None:
    """The Session's URL, and host and port alone."""
    way = WayIn("https", "https://[::1]:8621", needs_key=True)
    assert (way.session_url, way.authority) == ("https://[::1]:8621/.well-known/jmap", "[::1]:8621")

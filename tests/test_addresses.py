import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.addresses import Address, check_addresses, check_reach, parse_address
from jmap_proxy.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:8620", Address("::1", 8620)),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    """Host and port; IPv6 in brackets; empty is off."""
    assert parse_address("listen.http", text) == address


@pytest.mark.parametrize("text", ["8620", ":8620", "h:", "h:x", "h:65536", "h:-1", "h:٣", "[]:1", "h:" + "9" * 5000])
def test_wrong_addresses(text: str) -> None:
    """Everything else is refused, with an example."""
    with pytest.raises(ConfigError, match=r"listen\.http: .* is not host:port") as caught:
        parse_address("listen.http", text)
    assert '"127.0.0.1:8620"' in caught.value.hint


@given(host=st.ip_addresses().map(str), port=st.integers(0, 65535))
def test_every_address_comes_out_as_it_went_in(host: str, port: int) -> None:
    """Of both families."""
    written = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert parse_address("listen.http", written) == Address(host, port)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - it is refused
        "::",
        "192.168.1.2",
        "mail.lan",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
    ],
)
def test_what_others_can_reach_is_protected(host: str) -> None:
    """Plain http is refused, and https where an account needs no key; a name is taken to mean another machine."""
    with pytest.raises(ConfigError, match="plain http only on this machine") as caught:
        check_reach("listen.http", host, encrypted=False, open_account="")
    assert "listen.https" in caught.value.hint
    with pytest.raises(ConfigError, match="every account needs a key, and 'alice'") as caught:
        check_reach("listen.https", host, encrypted=True, open_account="alice")
    assert "a port of its own" in caught.value.hint
    check_reach("listen.https", host, encrypted=True, open_account="")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"])
def test_this_machine_may_do_without(host: str) -> None:
    """Plain http, and no key."""
    check_reach("listen.http", host, encrypted=False, open_account="alice")
    assert Address(host, 1).is_loopback


def test_two_listeners_have_two_addresses() -> None:
    """The error names both keys; port 0 is never the same."""
    check_addresses({"a": "127.0.0.1:0", "b": "127.0.0.1:0", "c": "127.0.0.1:1"}, {"d": "[::1]:1", "e": ""}, "")
    with pytest.raises(ConfigError, match=r"^b and a have the same address"):
        check_addresses({"a": "127.0.0.1:1"}, {"b": "127.0.0.1:1"}, "")

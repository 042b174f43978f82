"""Addresses to listen on, and who may be let in by them: plain http never leaves this machine. Pure.

Whether a name like "localhost" really means this machine is seen again when it is listened on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.errors import ConfigError
from jmap_proxy.origins import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port to listen on; port 0 lets the kernel choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it, as far as its spelling tells."""
        return is_loopback(self.host)


def parse_address(key: str, text: str) -> Address | None:
    """The address in "host:port", None for "" (off). Raises ConfigError naming the key."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    digits = port.isascii() and port.isdigit() and len(port) <= len(str(LAST_PORT))
    if not colon or not host or not digits or int(port) > LAST_PORT:
        raise ConfigError(f"{key}: {text!r} is not host:port", hint=f'for example {key} = "127.0.0.1:8620"')
    return Address(host, int(port))


def check_addresses(plain: Mapping[str, str], encrypted: Mapping[str, str], open_account: str) -> None:
    """See that the addresses differ, and that nobody else can reach what is not protected.

    Args:
        plain: "host:port" or "" by config key, for plain http.
        encrypted: The same for https.
        open_account: The account that needs no key by all of them, "" for none.

    Raises:
        ConfigError: an address is none, doubled, or reaches further than it may.
    """
    seen: dict[Address, str] = {}
    for key, text in (*plain.items(), *encrypted.items()):
        address = parse_address(key, text)
        if address is None:
            continue
        check_reach(key, address.host, encrypted=key in encrypted, open_account=open_account)
        if address.port and seen.setdefault(address, key) != key:
            raise ConfigError(f"{key} and {seen[address]} have the same address", hint="give each a port of its own")


def check_reach(key: str, host: str, *, encrypted: bool, open_account: str) -> None:
    """See that a listener at that host is protected as much as it must be.

    Args:
        key: The config key, for the error.
        host: The host name or address.
        encrypted: Whether it is https.
        open_account: The account that needs no key there, "" for none.

    Raises:
        ConfigError: others than this machine could listen in, or come in without a key.
    """
    if is_loopback(host):
        return
    if not encrypted:
        raise ConfigError(f"{key}: {host}: plain http only on this machine", hint="use 127.0.0.1, or listen.https")
    if open_account:
        raise ConfigError(
            f"{key}: {host}: off this machine every account needs a key, and {open_account!r} has local_auth none",
            hint=f"use 127.0.0.1, or give {open_account!r} local_auth key, or a port of its own (listen)",
        )

"""Where the clients of an account can come in, by the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.addresses import parse_address
from jmap_proxy.origins import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmap_proxy.addresses import Address
    from jmap_proxy.clients import Kind
    from jmap_proxy.config import Config

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound to


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way in.

    Attributes:
        kind: How it is spoken to.
        origin: What a URL of it begins with; for a Unix socket any name of this machine.
        needs_key: Whether the account needs its local key there.
        ca_file: PEM of the authority to trust, "" if there is none of our own.
        path: Of the Unix socket.
    """

    kind: Kind
    origin: str
    needs_key: bool
    ca_file: str = ""
    path: str = ""

    @property
    def session_url(self) -> str:
        """Where the Session is (RFC 8620 §2.2)."""
        return f"{self.origin}/.well-known/jmap"

    @property
    def authority(self) -> str:
        """Host and port."""
        return self.origin.partition("://")[2]

    @property
    def shown(self) -> str:
        """The origin, or the socket's path."""
        return self.path or self.origin


def reachable(scheme: str, address: Address, hosts: Sequence[str]) -> Origin:
    """The origin for the client: of a listener on all addresses, by the first name that it is known under."""
    host = address.host
    if host in EVERYWHERE:
        host = hosts[0] if hosts else "127.0.0.1"
    return Origin(scheme, host.strip("[]"), address.port)


def ways_in(config: Config, name: str, *, authority_file: str, unix: str) -> tuple[WayIn, ...]:
    """The ways in for an account, its own port first. One whose port the kernel chooses cannot be told.

    Args:
        config: The configuration.
        name: The account.
        authority_file: PEM of the local authority, of the certificate for https unless that is the user's own.
        unix: Path of the Unix socket, "" for none.
    """
    account, listen = config.account(name), config.listen
    is_open = account.local_auth == "none"
    ca_file = "" if listen.cert_file else authority_file
    listeners: tuple[tuple[Kind, str, bool], ...] = (
        ("http", account.listen, is_open),
        ("http", listen.http, is_open and not account.listen),
        ("https", listen.https, is_open and not account.listen),
    )
    ways = [
        WayIn(kind, str(reachable(kind, address, listen.hosts)), not needs_none, ca_file if kind == "https" else "")
        for kind, text, needs_none in listeners
        if (address := parse_address("listen", text)) is not None and address.port
    ]
    if unix:
        needs_none = len(config.accounts) == 1 or (is_open and not account.listen)
        ways.append(WayIn("unix", "http://localhost", not needs_none, path=unix))
    return tuple(ways)

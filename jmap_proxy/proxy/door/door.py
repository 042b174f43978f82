"""The door of a listener: the rules of `access`, applied to a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.errors import KeyRefused, PeerRefused
from jmap_proxy.origins import DEFAULT_PORTS
from jmap_proxy.proxy.door.access import (
    LOOPBACK_NAMES,
    Visitor,
    allowed_origin,
    check_host,
    check_no_browsing,
    check_web_page,
    presented_key,
)
from jmap_proxy.proxy.door.peer import peer_uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from jmap_proxy.origins import Origin


def check_sender(
    request: web.BaseRequest, names: frozenset[str] = frozenset(), web_origins: frozenset[str] = frozenset()
) -> tuple[Origin, str]:
    """See that a request is for this listener and from a program, or from an allowed web page, whoever's it is.

    Args:
        request: Whose Host, port and marks of a web page count.
        names: Host names that are ours besides the loopback ones.
        web_origins: Origins of allowed web pages.

    Returns:
        The listener's origin as the client sees it, and the web page's origin or "".

    Raises:
        HostRefused: it is for another host or port.
        OriginRefused: it comes from another web page.
    """
    local = check_host(request.headers.getall("Host", []), request.scheme, _port(request), LOOPBACK_NAMES | names)
    origins = request.headers.getall("Origin", [])
    return local, check_web_page(origins, request.headers.get("Sec-Fetch-Site"), web_origins)


def _port(request: web.BaseRequest) -> int:
    """On which the listener listens; a Unix socket has none, so the client's URL means the scheme's own."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return int(name[1]) if isinstance(name, tuple) else DEFAULT_PORTS[request.scheme]


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in by a listener.

    Attributes:
        account_of: The account that a local key opens, None for a wrong key.
        open_account: The account for requests without a good key, "" for none.
        names: Host names under which the proxy is known, besides the loopback ones.
        web_origins: Origins of the web clients that may come in.
        only: The one account that this listener is for, "" for all.
        peers: User ids whose programs may come in by this Unix socket, empty for no Unix socket.
    """

    account_of: Callable[[str], str | None]
    open_account: str = ""
    names: frozenset[str] = frozenset()
    web_origins: frozenset[str] = frozenset()
    only: str = ""
    peers: frozenset[int] = frozenset()

    def web_origin(self, request: web.BaseRequest) -> str:
        """The origin of the allowed web client that has sent the request, "" for everybody else."""
        return allowed_origin(request.headers.getall("Origin", []), self.web_origins)

    def check_sender(self, request: web.BaseRequest) -> Origin:
        """See that a request is from where it may come from, whoever's it is.

        Returns:
            The listener's origin as the client sees it.

        Raises:
            Refused: it is not; never for want of a key.
        """
        return self._check_sender(request)[0]

    def _check_sender(self, request: web.BaseRequest) -> tuple[Origin, str]:
        """As `check_sender`; with the origin of the allowed web client, "" for everybody else."""
        if self.peers and peer_uid(request.transport) not in self.peers:
            raise PeerRefused("another user's program has connected", hint="let it use http with the local key")
        local, web_origin = check_sender(request, self.names, self.web_origins)
        if not web_origin:
            check_no_browsing(request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode"))
        return local, web_origin

    def enter(self, request: web.BaseRequest) -> Visitor:
        """Who comes in. Raises Refused."""
        local, web_origin = self._check_sender(request)
        key = presented_key(request.headers.getall("Authorization", []))
        # an open account only where browsers mark all that they send: a page's image could not be told otherwise
        open_account = self.open_account if local.is_safe_for_secrets else ""
        opened = self.account_of(key) if key else None
        account = opened or open_account
        if not account:
            raise KeyRefused(
                "the local key is wrong" if key else "no local key was sent",
                hint="give the local key as password or bearer token; jmap-proxy key NAME makes a new one, "
                "and jmap-proxy login NAME a new sign-in",
            )
        if self.only not in ("", account):
            raise KeyRefused(
                f"the local key is for another account than this port, which is for {self.only!r} alone",
                hint=f"use the key of {self.only!r}, or the address in listen.http",
            )
        return Visitor(local, account, web_origin, key if key and opened else "")

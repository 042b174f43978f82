"""The door of a listener: the rules of `access`, applied to a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.errors import KeyRefused
from jmap_proxy.proxy.access import LOOPBACK_NAMES, check_host, check_not_web_page, presented_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from jmap_proxy.origins import Origin


def check_sender(request: web.BaseRequest, names: frozenset[str] = frozenset()) -> Origin:
    """See that a request is for this listener and from a program, whoever's it is.

    Args:
        request: Whose Host, port and marks of a web page count.
        names: Host names that are ours besides the loopback ones.

    Returns:
        The listener's origin as the client sees it.

    Raises:
        HostRefused: it is for another host or port.
        OriginRefused: it comes from a web page.
    """
    port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
    local = check_host(request.headers.getall("Host", []), request.scheme, port, LOOPBACK_NAMES | names)
    check_not_web_page(request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"))
    return local


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in.

    Attributes:
        account_of: The account that a local key opens, None for a wrong key.
        open_account: The account for requests without a good key, "" for none.
        names: Host names under which the proxy is known, besides the loopback ones.
    """

    account_of: Callable[[str], str | None]
    open_account: str = ""
    names: frozenset[str] = frozenset()

    def enter(self, request: web.BaseRequest) -> tuple[Origin, str]:
        """The proxy's origin as the client sees it, and the account. Raises Refused."""
        local = check_sender(request, self.names)
        key = presented_key(request.headers.getall("Authorization", []))
        account = (self.account_of(key) if key else None) or self.open_account
        if not account:
            raise KeyRefused(
                "the local key is wrong" if key else "no local key was sent",
                hint="give the local key as password or bearer token; jmap-proxy key NAME makes a new one",
            )
        return local, account

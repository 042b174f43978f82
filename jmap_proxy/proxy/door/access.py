"""Who may come in: the Host must be ours, no web page may ask, and the local key names the account. Pure.

The Host check stops DNS rebinding and holds with or without an Origin; a local key does not replace it, since
browsers keep Basic credentials and send them along by themselves.

What browsers send (measured: Chromium 156). Origin: with all that is not GET or HEAD, with fetch and EventSource to
another origin, and with every WebSocket. Sec-Fetch-*: with all but WebSockets, yet only to https and loopback hosts;
not to 0.0.0.0, nor to a name of listen.hosts over plain http. `Sec-Fetch-Site: none` is not only what the user has
typed, but also where a typed address or a link in a mail redirects to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmap_proxy.errors import HostRefused, OriginRefused
from jmap_proxy.origins import Origin

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

LAST_PORT = 65535

_HOST = re.compile(r"(\[(?=[^\]]*:)[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who a request is from.

    Attributes:
        local: Origin of the proxy as the client sees it.
        account: Whose mail it is for.
        web_origin: Origin of the allowed web client that has sent it, "" for other programs.
        key: The local key that let it in, "" where none was needed.
    """

    local: Origin
    account: str
    web_origin: str = ""
    key: str = field(default="", repr=False)

    @property
    def key_digest(self) -> str:
        """SHA-256 of the key in hexadecimal, "" where there is none. Worked out when it is asked for, by streams."""
        return hashlib.sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest() if self.key else ""


def check_host(host_fields: Sequence[str], scheme: str, port: int, names: frozenset[str]) -> Origin:
    """The origin by which the client sees this proxy.

    Args:
        host_fields: All values of Host; there must be exactly one (RFC 9112 §3.2).
        scheme: Of the listener, "http" or "https".
        port: On which the listener listens; a Host without a port means this one (measured: himalaya). One with another
            port is believed: a forwarded port (`ssh -L`) has its own number, and no web page can choose it.
        names: Allowed host names and addresses, lower case, IPv6 without brackets; compared whole.

    Raises:
        HostRefused: no Host, several, or a name that is not ours.
    """
    match = _HOST.fullmatch(host_fields[0]) if len(host_fields) == 1 else None
    if match is None:
        raise HostRefused("the request has no single well-formed Host", hint="use one of this proxy's addresses")
    name = match[1].lower().strip("[]")
    shown = int(match[2]) if match[2] else port
    if name not in names or not 0 < shown <= LAST_PORT:
        raise HostRefused(
            "the request is for another host than this proxy",
            hint=f"use {scheme}://127.0.0.1:{port}, or add the name to listen.hosts",
        )
    return Origin(scheme, name, shown)


def allowed_origin(origin_fields: Sequence[str], allowed: frozenset[str]) -> str:
    """The web page's origin if it is an allowed one, else "".

    Args:
        origin_fields: All values of Origin; browsers send one.
        allowed: As browsers write them (`origins.parse_web_origin`).
    """
    return origin_fields[0] if len(origin_fields) == 1 and origin_fields[0] in allowed else ""


def check_web_page(origin_fields: Sequence[str], fetch_site: str | None, allowed: frozenset[str]) -> str:
    """See that the request does not come from a web page, but for those of allowed origins.

    Browsers put Origin into what a script or a form sends (Fetch §3.1) and Sec-Fetch-Site into all requests, images
    and links included. Node sends `sec-fetch-mode` with its own requests, so that one alone says nothing.

    Args:
        origin_fields: All values of Origin.
        fetch_site: Value of Sec-Fetch-Site.
        allowed: Origins of the web clients that may come in.

    Returns:
        The allowed origin, "" if it comes from no web page.

    Raises:
        OriginRefused: it comes from another one.
    """
    if origin := allowed_origin(origin_fields, allowed):
        return origin
    if origin_fields or fetch_site not in (None, "none", "same-origin"):
        raise OriginRefused(
            "the request comes from a web page", hint="add its origin to listen.web_origins if you trust it"
        )
    return ""


def check_no_browsing(fetch_site: str | None, fetch_mode: str | None) -> None:
    """See that a request without Origin is not one that a browser makes when somebody looks at this address in it.

    There is nothing to look at: no page is of the proxy's own origin, and a JMAP client does not navigate. A hostile
    page can make a browser navigate without a trace of itself (see above).

    Raises:
        OriginRefused: a navigation, or from a page of this origin (one that another program has left there).
    """
    if fetch_mode == "navigate" or fetch_site == "same-origin":
        raise OriginRefused("a browser shows nothing here", hint="give this address to a JMAP client")


def is_from_browser(names: Container[str]) -> bool:
    """Whether a request bears the mark of a browser; it must not be asked for a password that it would keep.

    Args:
        names: Of its header fields, in any case. Upgrade-Insecure-Requests is the mark of a navigation where
            there is no Sec-Fetch-Site.
    """
    return "Origin" in names or "Sec-Fetch-Site" in names or "Upgrade-Insecure-Requests" in names


def presented_key(authorization_fields: Sequence[str]) -> str | None:
    """The local key that the client shows: a Basic password (any user name) or a Bearer token; None for neither."""
    if len(authorization_fields) != 1:
        return None
    scheme, _, value = authorization_fields[0].partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return None
    return pair.partition(":")[2] or None

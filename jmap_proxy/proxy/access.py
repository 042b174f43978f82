"""Who may come in: the Host must be ours, no web page may ask, and the local key names the account. Pure.

The Host check stops DNS rebinding and holds with or without an Origin; a local key does not replace it, since
browsers keep Basic credentials and send them along by themselves.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from jmap_proxy.errors import HostRefused, OriginRefused
from jmap_proxy.origins import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(r"(\[(?=[^\]]*:)[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")


def check_host(host_fields: Sequence[str], scheme: str, port: int, names: frozenset[str]) -> Origin:
    """The origin by which the client sees this proxy.

    Args:
        host_fields: All values of Host; there must be exactly one (RFC 9112 §3.2).
        scheme: Of the listener, "http" or "https".
        port: On which the listener listens; a Host without a port means this one (measured: himalaya).
        names: Allowed host names and addresses, lower case, IPv6 without brackets; compared whole.

    Raises:
        HostRefused: no Host, several, a name that is not ours, or another port.
    """
    match = _HOST.fullmatch(host_fields[0]) if len(host_fields) == 1 else None
    if match is None:
        raise HostRefused("the request has no single well-formed Host", hint="use one of this proxy's addresses")
    name = match[1].lower().strip("[]")
    if name not in names or (match[2] and int(match[2]) != port):
        raise HostRefused(
            "the request is for another host than this proxy",
            hint=f"use {scheme}://127.0.0.1:{port}, or add the name to listen.hosts",
        )
    return Origin(scheme, name, port)


def check_not_web_page(origin: str | None, fetch_site: str | None) -> None:
    """See that the request does not come from a web page.

    Browsers put Origin into what a script or a form sends (Fetch §3.1) and Sec-Fetch-Site into all requests, images
    and links included. Node sends `sec-fetch-mode` with its own requests, so that one alone says nothing.

    Raises:
        OriginRefused: it does.
    """
    if origin is not None or fetch_site not in (None, "none", "same-origin"):
        raise OriginRefused("the request comes from a web page", hint="web pages may not use this proxy")


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

"""Web origins (RFC 6454) and the rule of where a secret may travel. Pure: strings in, values out.

URL templates are strings here and stay strings: URL objects percent-encode their braces.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB_SCHEME = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_ABSOLUTE = re.compile(
    r"(?P<scheme>https?|wss?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?#].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,  # without ASCII, U+017F would match "s" and U+212A "k"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme ("http" or "https"), host (lower case, IPv6 without brackets) and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """The serialization of RFC 6454 §6.2: the default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by name or address."""
        return is_loopback(self.host)

    @property
    def is_safe_for_secrets(self) -> bool:
        """Whether a token may be sent here: verified TLS, or plain http that never leaves the machine."""
        return self.scheme == "https" or self.is_loopback


def is_loopback(host: str) -> bool:
    """Whether `host` is localhost (RFC 6761 §6.3), 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_url(url: str) -> tuple[Origin, str]:
    """Split an absolute URL or URL template into its origin and the rest, which is kept byte for byte.

    `ws` and `wss` count as `http` and `https`. The rest begins with "/", "?" or "#", or is empty.

    Raises:
        ValueError: not an absolute http(s) or ws(s) URL, or one with user info or an odd authority.
    """
    match = _ABSOLUTE.fullmatch(url)
    if match is None:
        raise ValueError("not an absolute http or https URL")
    scheme = _WEB_SCHEME[match["scheme"].lower()]
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:  # noqa: PLR2004 - the range of a TCP port
        raise ValueError("the port is out of range")
    return Origin(scheme, _host(match["host"].lower()), port), match["rest"] or ""


def _host(authority: str) -> str:
    """The host in its one spelling; only an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
    if not authority.startswith("["):
        return authority
    return str(ipaddress.IPv6Address(authority[1:-1]))  # its error is a ValueError


def parse_origin(url: str) -> Origin:
    """The origin of an absolute URL; raises ValueError as `split_url` does."""
    return split_url(url)[0]

"""Web origins (RFC 6454) and the rule of where a secret may travel. Pure: strings in, values out.

URL templates are strings here and stay strings: URL objects percent-encode their braces.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB_SCHEME = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_ABSOLUTE = re.compile(
    r"(?P<scheme>https?|wss?)://"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?)"  # RFC 1035 §2.3.4: 253 at most
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,  # without ASCII, U+017F would match "s" and U+212A "k"
)
_END_OF_AUTHORITY = re.compile(r"[/?#]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_AUTHORITYLESS = re.compile(r"(?:https?|wss?):(?=/(?!/))", re.IGNORECASE)

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_PUBLIC_SUFFIX = re.compile(
    r"(?:ac|co|com|edu|gob|gouv|gov|govt|ltd|mil|ne|net|nom|or|org|plc|sch)\.[a-z]{2}", re.ASCII
)
"""The usual second levels of country domains. The whole list is long and changes; a pattern is the user's own word."""

_OWN_NAMES = frozenset({"internal", "local", "localdomain", "localhost"})
"""Top levels of this machine and its network, where names have no certificates that say whose they are."""

_URL_TEXT = re.compile(r"[!\"$-\[\]-~]+")  # printable ASCII but for "#" and the backslash

LONGEST_URL = 8000
"""Characters; servers take no longer request line."""


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


@functools.lru_cache(maxsize=256)  # asked at each request, for the same few
def is_loopback(host: str) -> bool:
    """Whether `host` is localhost (RFC 6761 §6.3), 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_inside(host: str) -> bool:
    """Whether `host` is an address that only this machine or its network knows (RFC 1918, RFC 4193, RFC 3927, ...)."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return is_loopback(host)


def is_below(host: str, pattern: str) -> bool:
    """Whether a host is the one that `pattern` names, or with `*.example.com` one of those below example.com.

    Whole labels count: `evil-example.com` is not below `example.com`, and `example.com` is not below itself.
    """
    host, pattern = host.lower(), pattern.lower()
    if not pattern.startswith("*."):
        return host == pattern
    return host.endswith(pattern[1:]) and not host.startswith(".")


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """All https origins below a name, on one port. A token may get there, so whoever can have a name below can have it.

    Attributes:
        base: The name; at least two labels.
        port: Of the origins.
    """

    base: str
    port: int = DEFAULT_PORTS["https"]

    def __contains__(self, origin: object) -> bool:
        """Whether it is an origin with one or more labels in front of the base."""
        return (
            isinstance(origin, Origin)
            and (origin.scheme, origin.port) == ("https", self.port)
            and origin.host.endswith(f".{self.base}")
            and all(map(_LABEL.fullmatch, origin.host.removesuffix(f".{self.base}").split(".")))
        )


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The origins that may get an account's token.

    Attributes:
        exact: These.
        patterns: And all of these.
    """

    exact: frozenset[Origin]
    patterns: tuple[OriginPattern, ...] = ()

    @classmethod
    def of(cls, server: Origin, texts: Iterable[str]) -> AllowedOrigins:
        """A server's own, and those that the texts name, each an origin or a pattern. Raises ValueError."""
        named = [parse_allowed(text) for text in texts]
        return cls(
            frozenset({server, *(each for each in named if isinstance(each, Origin))}),
            tuple(each for each in named if isinstance(each, OriginPattern)),
        )

    def __contains__(self, origin: object) -> bool:
        """Whether the token may go there."""
        return origin in self.exact or any(origin in pattern for pattern in self.patterns)


def split_url(url: str) -> tuple[Origin, str]:
    """Split an absolute URL or URL template into its origin and the rest, which is kept byte for byte.

    `ws` and `wss` count as `http` and `https`. The rest begins with "/", "?" or "#", or is empty.

    Raises:
        ValueError: not an absolute http(s) or ws(s) URL, or one with user info or an odd authority.
    """
    found = _END_OF_AUTHORITY.search(url, url.find("://") + 3)
    end = found.start() if found else len(url)
    return _read_origin(url[:end]), url[end:]


@functools.lru_cache(maxsize=256)  # asked several times at each request, for the same few
def _read_origin(text: str) -> Origin:
    match = _ABSOLUTE.fullmatch(text)
    if match is None:
        raise ValueError("not an absolute http or https URL")
    scheme = _WEB_SCHEME[match["scheme"].lower()]
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:  # noqa: PLR2004 - the range of a TCP port
        raise ValueError("the port is out of range")
    return Origin(scheme, _host(match["host"].lower()), port)


def _host(authority: str) -> str:
    """The host in its one spelling; only an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
    if not authority.startswith("["):
        return authority
    return str(ipaddress.IPv6Address(authority[1:-1]))  # its error is a ValueError


def parse_origin(url: str) -> Origin:
    """The origin of an absolute URL; raises ValueError as `split_url` does."""
    return split_url(url)[0]


def parse_allowed(text: str) -> Origin | OriginPattern:
    """An origin that may get a token, or a pattern of such: `https://*.example.com`, with a port if it is another one.

    Raises:
        ValueError: neither, or one that says too much: anybody can have a name below `com` or `co.uk`.
    """
    scheme, wildcard, rest = text.partition("://*.")
    if not wildcard:
        return _bare_origin(text)
    if scheme.lower() != "https":
        raise ValueError("a pattern is for https only")
    base = _bare_origin(f"https://{rest}")
    labels = base.host.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or not labels[-1][0].isalpha():
        raise ValueError("behind *. there must be a name, not an address")
    if len(labels) < 2 or _PUBLIC_SUFFIX.fullmatch(base.host) or labels[-1] in _OWN_NAMES:  # noqa: PLR2004
        raise ValueError("behind *. there must be a name that has one owner, for example *.example.com")
    return OriginPattern(base.host, base.port)


def _bare_origin(text: str) -> Origin:
    origin, rest = split_url(text)
    if rest not in ("", "/"):
        raise ValueError("it has a path; name origins only")
    return origin


def check_text(url: str) -> None:
    """See that a URL or template is printable ASCII without a fragment, and not too long.

    Raises:
        ValueError: it cannot be asked for.
    """
    if not _URL_TEXT.fullmatch(url):
        raise ValueError("not a usable URL")
    if len(url) > LONGEST_URL:
        raise ValueError(f"longer than {LONGEST_URL} characters")


def locate(url: str, base: str) -> tuple[Origin, str]:
    """Resolve a URL or template against the URL of the document that holds it (RFC 3986 §5), templates intact.

    `wss:/path`, as Cyrus writes it, is a path on the document's host.

    Raises:
        ValueError: not a URL that can be asked for.
    """
    check_text(url)
    url = _AUTHORITYLESS.sub("", url, count=1)
    origin, base_rest = split_url(base)
    if url.startswith("//"):
        url = f"{origin.scheme}:{url}"
    elif url.startswith("/"):
        return origin, url
    if _SCHEME.match(url):
        found, rest = split_url(url)
        return found, rest if rest.startswith("/") else f"/{rest}"
    path, question_mark, query = url.partition("?")
    return origin, _merge(base_rest.partition("?")[0] or "/", path) + question_mark + query


def _merge(base: str, path: str) -> str:
    """A relative path seen from an absolute one (RFC 3986 §5.2). `urljoin` would drop empty segments."""
    if not path:
        return base
    *folders, last = f"{base.rpartition('/')[0]}/{path}".split("/")[1:]
    kept: list[str] = []
    for segment in [*folders, last] if last in {".", ".."} else folders:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(["", *kept, "" if last in {".", ".."} else last])


def parse_web_origin(text: str) -> str:
    """The origin of web pages as browsers write it: lower case, without the default port (RFC 6454 §6.2).

    Raises:
        ValueError: not an https origin, or an http one of this machine. A page that comes over a network in the plain
            can be anybody's, and would be let in with the key that its user has typed into it.
    """
    origin, rest = split_url(text)
    if rest not in ("", "/") or not text.lower().startswith("http"):
        raise ValueError("not an origin, which has a scheme, a host and at most a port")
    if not origin.is_safe_for_secrets:
        raise ValueError("plain http is for pages of this machine only")
    return str(origin)

"""Which header fields go on to the other side (RFC 9110 §7.6). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Field = tuple[str, str]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_NOT_UPSTREAM = HOP_BY_HOP | {
    "authorization",  # the local key; ours is added instead
    "content-length",  # framing is this side's own
    "cookie",
    "dnt",
    "expect",  # answered here
    "forwarded",
    "host",  # upstream gets its own
    "origin",
    "referer",
    "via",
    "x-real-ip",
}
_NOT_UPSTREAM_PREFIXES = (
    "sec-",
    "x-forwarded-",
    "x-jmap-",
    "x-user",
    "x-auth",
    "x-webauth-",
    "x-remote-",
    "remote-",
    "x-original-",
    "x-rewrite-",
)
"""Fields by which gateways tell servers who the user is or where they are; from a client they are lies."""

_NOT_DOWNSTREAM = HOP_BY_HOP | {
    "alt-svc",  # would lead the client around the proxy
    "clear-site-data",
    "content-length",
    "content-location",
    "content-security-policy",
    "location",  # decided apart
    "nel",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",  # would hold for localhost, on all ports
    "www-authenticate",  # a 401 is only ever about the local key
}
_NOT_DOWNSTREAM_PREFIXES = ("access-control-",)

SAFE_FOR_BROWSERS = (
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""On every answer: an attachment opened in a browser must not run in the proxy's origin."""


def to_upstream(fields: Iterable[Field]) -> list[Field]:
    """The client's end-to-end fields, without what would mislead the server. Authorization is added by the exchange.

    Names with an underscore go: CGI-like servers read X_User as X-User (CVE-2025-64484).
    """
    return _filter(fields, _NOT_UPSTREAM, _NOT_UPSTREAM_PREFIXES)


def to_client(fields: Iterable[Field]) -> list[Field]:
    """The server's end-to-end fields, without what is about its own host, and with what keeps browsers safe."""
    safe = {name.lower() for name, _ in SAFE_FOR_BROWSERS}
    kept = _filter(fields, _NOT_DOWNSTREAM | safe, _NOT_DOWNSTREAM_PREFIXES)
    return [*kept, *SAFE_FOR_BROWSERS]


def _filter(fields: Iterable[Field], dropped: frozenset[str], prefixes: tuple[str, ...]) -> list[Field]:
    fields = list(fields)
    named = _named_by_connection(fields)
    kept = []
    for name, value in fields:
        lower = name.lower()
        if lower in dropped or lower in named or "_" in lower or lower.startswith(prefixes):
            continue
        kept.append((name, value))
    return kept


def _named_by_connection(fields: Iterable[Field]) -> frozenset[str]:
    """Fields that the peer declares hop-by-hop; only ever the peer's own, ours are added later."""
    values = [value for name, value in fields if name.lower() == "connection"]
    return frozenset(word.strip().lower() for value in values for word in value.split(","))

"""Which header fields go on to the other side (RFC 9110 §7.6). Pure."""

from __future__ import annotations

import enum
import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Field = tuple[str, str]
"""A header field's name and value."""

SERVER = "jmap-proxy"
"""In answers in which no server has named itself."""

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

_FOR_PROXY = HOP_BY_HOP | {
    "authorization",  # the local key; ours is added instead
    "content-length",  # framing is this side's own
    "cookie",
    "cookie2",
    "dnt",
    "early-data",  # RFC 8470
    "expect",  # answered here
    "host",  # upstream gets its own
    "max-forwards",
    "origin",
    "referer",
}
_FOR_PROXY_PREFIXES = ("sec-",)
"""Fields by which a client tells the proxy how its request is framed, who asks, and from which page."""

_CLAIMS = frozenset(
    {
        "cdn-loop",
        "client-cert",  # RFC 9440
        "client-cert-chain",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "front-end-https",
        "proxy",  # CGI-like servers make HTTP_PROXY of it (CVE-2016-5385)
        "true-client-ip",
        "via",
        "x-access-token",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-email",
        "x-groups",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-id-token",
        "x-method-override",
        "x-preferred-username",
        "x-real-ip",
        "x-roles",
        "x-scheme",
        "x-url-scheme",
    }
)
_CLAIM_PREFIXES = (
    "auth-",
    "cf-access-authenticated-",
    "cf-access-jwt-",
    "cf-connecting-",
    "cf-ip",
    "cf-visitor",
    "iv-",
    "oidc-",
    "remote-",
    "sm-",
    "ssl-",
    "tailscale-",
    "x-accel-",
    "x-amzn-",
    "x-appengine-",
    "x-auth",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "x-consumer-",
    "x-credential-",
    "x-endpoint-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-",
    "x-jmap-",
    "x-jwt",
    "x-ms-client-",
    "x-ms-token-",
    "x-oidc-",
    "x-original-",
    "x-pomerium-",
    "x-proxy-",
    "x-remote-",
    "x-rewrite-",
    "x-saml-",
    "x-ssl-",
    "x-user",
    "x-vouch-",
    "x-webauth-",
    "x-webobjects-",
)
"""Fields by which gateways tell servers who the user is, where they are or what they mean; from a client they are lies.

Of Apache, nginx, Envoy, Kong, oauth2-proxy, authentik, LemonLDAP, WebSEAL, SiteMinder, Tailscale, Cloudflare and other
clouds. Not of the kind are CF-Access-Client-Id and -Secret, which are a client's own.
"""

_NOT_UPSTREAM = _FOR_PROXY | _CLAIMS
_NOT_UPSTREAM_PREFIXES = _FOR_PROXY_PREFIXES + _CLAIM_PREFIXES

SAFE_FOR_BROWSERS = (
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""On every answer: an attachment opened in a browser must not run in the proxy's origin."""

_NOT_DOWNSTREAM = (
    HOP_BY_HOP
    | {name.lower() for name, _ in SAFE_FOR_BROWSERS}
    | {
        "accept-ch",  # browsers would keep it for the proxy's origin
        "alt-svc",  # would lead the client around the proxy
        "authentication-info",
        "clear-site-data",
        "content-length",
        "content-location",
        "content-security-policy",
        "content-security-policy-report-only",
        "critical-ch",
        "expect-ct",
        "location",  # decided apart
        "nel",
        "public-key-pins",
        "public-key-pins-report-only",
        "refresh",
        "report-to",
        "reporting-endpoints",
        "service-worker-allowed",
        "set-cookie",
        "set-cookie2",
        "sourcemap",
        "strict-transport-security",  # would hold for localhost, on all ports
        "timing-allow-origin",
        "www-authenticate",  # a 401 is only ever about the local key
        "x-sendfile",  # an order to a gateway in front of the proxy, as X-Accel-* is
    }
)
_NOT_DOWNSTREAM_PREFIXES = ("access-control-", "x-accel-")

_PLAIN = re.compile(r"[a-z0-9-]+")


def to_upstream(fields: Iterable[Field]) -> list[Field]:
    """The client's end-to-end fields, without what would mislead the server. Authorization is added by the exchange.

    Names with an underscore or any other mark go: CGI-like servers read X_User as X-User (CVE-2025-64484).
    """
    return _filter(fields, _upstream_fate)


def to_client(fields: Iterable[Field]) -> list[Field]:
    """The server's end-to-end fields, without what is about its own host, and with what keeps browsers safe."""
    return [*_filter(fields, _downstream_fate), *SAFE_FOR_BROWSERS]


def _filter(fields: Iterable[Field], fate_of: Callable[[str], _Fate]) -> list[Field]:
    kept: list[Field] = []
    connection: list[str] = []
    for field in fields:
        fate = fate_of(field[0])
        if fate is _Fate.KEPT:
            kept.append(field)
        elif fate is _Fate.NAMES_OTHERS:
            connection.append(field[1])
    if not connection:
        return kept
    named = _named_by(connection)
    return [field for field in kept if field[0].lower() not in named]


class _Fate(enum.Enum):
    """What becomes of a field, by its name."""

    KEPT = enum.auto()
    DROPPED = enum.auto()
    NAMES_OTHERS = enum.auto()
    """It is dropped, and so are those that it names."""


@functools.lru_cache(maxsize=256)  # most requests have the same few; a name can be long
def _upstream_fate(name: str) -> _Fate:
    return _fate(name.lower(), _NOT_UPSTREAM, _NOT_UPSTREAM_PREFIXES)


@functools.lru_cache(maxsize=256)
def _downstream_fate(name: str) -> _Fate:
    return _fate(name.lower(), _NOT_DOWNSTREAM, _NOT_DOWNSTREAM_PREFIXES)


def _fate(lower: str, dropped: frozenset[str], prefixes: tuple[str, ...]) -> _Fate:
    if lower == "connection":
        return _Fate.NAMES_OTHERS
    if lower in dropped or not _PLAIN.fullmatch(lower) or lower.startswith(prefixes):
        return _Fate.DROPPED
    return _Fate.KEPT


def _named_by(connection: Iterable[str]) -> frozenset[str]:
    """Fields that the peer declares hop-by-hop; only ever the peer's own, ours are added later."""
    return frozenset([word.strip().lower() for value in connection for word in value.split(",")])

"""Which header fields go on to the other side (RFC 9110 §7.6). Pure."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Field = tuple[str, str]
"""A header field's name and value."""

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


def to_upstream(fields: Collection[Field]) -> list[Field]:
    """The client's end-to-end fields, without what would mislead the server. Authorization is added by the exchange.

    Names with an underscore or any other mark go: CGI-like servers read X_User as X-User (CVE-2025-64484).
    """
    return _filter(fields, _goes_upstream)


def to_client(fields: Collection[Field]) -> list[Field]:
    """The server's end-to-end fields, without what is about its own host, and with what keeps browsers safe."""
    return [*_filter(fields, _goes_downstream), *SAFE_FOR_BROWSERS]


def _filter(fields: Collection[Field], goes_on: Callable[[str], bool]) -> list[Field]:
    kept = [field for field in fields if goes_on(field[0])]
    named = _named_by_connection(fields)
    return [field for field in kept if field[0].lower() not in named] if named else kept


@functools.lru_cache(maxsize=1024)  # most requests have the same few
def _goes_upstream(name: str) -> bool:
    return _is_kept(name.lower(), _NOT_UPSTREAM, _NOT_UPSTREAM_PREFIXES)


@functools.lru_cache(maxsize=1024)
def _goes_downstream(name: str) -> bool:
    return _is_kept(name.lower(), _NOT_DOWNSTREAM, _NOT_DOWNSTREAM_PREFIXES)


def _is_kept(lower: str, dropped: frozenset[str], prefixes: tuple[str, ...]) -> bool:
    return lower not in dropped and _PLAIN.fullmatch(lower) is not None and not lower.startswith(prefixes)


def _named_by_connection(fields: Collection[Field]) -> frozenset[str]:
    """Fields that the peer declares hop-by-hop; only ever the peer's own, ours are added later."""
    values = [value for name, value in fields if name.lower() == "connection"]
    return frozenset([word.strip().lower() for value in values for word in value.split(",")]) if values else frozenset()

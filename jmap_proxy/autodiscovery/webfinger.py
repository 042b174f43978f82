"""WebFinger (RFC 7033) as OpenID Connect Discovery §2 uses it: who an account's identity provider is. Pure."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

ISSUER = "http://openid.net/specs/connect/1.0/issuer"
"""The link relation that names the issuer."""


class _Link(msgspec.Struct):
    rel: str = ""
    href: str | None = None


class _Descriptor(msgspec.Struct):
    links: tuple[_Link, ...] = ()


def webfinger_url(origin: str, subject: str) -> str:
    """What to ask (RFC 7033 §4.1).

    Args:
        origin: Of the server.
        subject: A URI, such as `acct:alice@example.com`.
    """
    return f"{origin}/.well-known/webfinger?{urlencode({'resource': subject, 'rel': ISSUER})}"


def issuers_of(body: bytes) -> tuple[str, ...]:
    """The issuers that a descriptor (RFC 7033 §4.4) names; none where it cannot be understood."""
    try:
        links = msgspec.json.decode(body, type=_Descriptor).links
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(link.href for link in links if link.rel == ISSUER and link.href))

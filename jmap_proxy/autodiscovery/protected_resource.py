"""Metadata of a protected resource (RFC 9728): where a server says who gives the tokens that it takes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.errors import DiscoveryError
from jmap_proxy.origins import locate, parse_origin, split_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jmap_proxy.origins import Origin

WELL_KNOWN = "/.well-known/oauth-protected-resource"
BY_NAME = "name the identity provider: --issuer URL"


class ProtectedResource(msgspec.Struct, frozen=True, kw_only=True):
    """The members that are used here, by their names in RFC 9728 §2; unknown ones and nulls are passed over."""

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()


def metadata_place(reference: str, base: str) -> str:
    """The URL that `resource_metadata` names, which may be relative (measured: Stalwart).

    Args:
        reference: The parameter.
        base: The URL that was asked.

    Raises:
        DiscoveryError: no URL, or one over plain http that leaves this machine.
    """
    try:
        origin, rest = locate(reference, base)
    except ValueError as error:
        raise DiscoveryError(f"the server's resource_metadata is no URL: {error}", hint=BY_NAME) from None
    check_reach(origin, base, "its resource metadata")
    return f"{origin}{rest}"


def check_reach(origin: Origin, named_by: str, what: str) -> None:
    """See that a server may name a place for what it says is there.

    Args:
        origin: Of the place.
        named_by: URL of the server.
        what: For the error.

    Raises:
        DiscoveryError: plain http that leaves this machine, or this machine where the server is elsewhere.
    """
    if not origin.is_safe_for_secrets:
        raise DiscoveryError(f"the server names {origin} for {what}, which is plain http", hint=BY_NAME)
    if origin.is_loopback and not parse_origin(named_by).is_loopback:
        raise DiscoveryError(
            f"the server names {origin} for {what}, which is this machine and not its own", hint=BY_NAME
        )


def usable_issuers(issuers: Iterable[str], named_by: str) -> tuple[str, ...]:
    """The issuers that a server names, each once.

    Raises:
        DiscoveryError: one of them is no URL, or one where no secret may go.
    """
    for issuer in issuers:
        try:
            origin, _ = locate(issuer, issuer)
        except ValueError as error:
            raise DiscoveryError(
                f"the server names an identity provider that is no URL: {error}", hint=BY_NAME
            ) from None
        check_reach(origin, named_by, "its identity provider")
    return tuple(dict.fromkeys(issuers))


def metadata_places(session_url: str) -> tuple[str, ...]:
    """Where the metadata is if the server does not say (RFC 9728 §3.1): with the path inserted, then without."""
    origin, rest = split_url(session_url)
    path = rest.partition("?")[0].rstrip("/")
    return tuple(dict.fromkeys((f"{origin}{WELL_KNOWN}{path}", f"{origin}{WELL_KNOWN}")))


def parse_protected_resource(body: bytes, session_url: str) -> ProtectedResource:
    """Read the document and see that it is about this server.

    RFC 9728 §3.3 asks for exactly the URL that was asked for; that the origin is the same has to be enough (measured:
    Stalwart names another path). Another origin's metadata would let one server ask for tokens of another.

    Raises:
        DiscoveryError: not the expected JSON, or another server's.
    """
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
        present = {name: value for name, value in document.items() if value is not None}
        found = msgspec.convert(present, ProtectedResource)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DiscoveryError(f"the server's resource metadata is not as RFC 9728 asks: {error}", hint=BY_NAME) from None
    try:
        same = locate(found.resource, found.resource)[0] == parse_origin(session_url)
    except ValueError:
        same = False
    if not same:
        raise DiscoveryError(
            f"the server's resource metadata is about {found.resource[:200]!r}, not about {parse_origin(session_url)}",
            hint=f"ask whoever runs the server to mend it (RFC 9728 §3.3), or {BY_NAME}",
        )
    return found

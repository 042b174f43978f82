"""The provider's metadata document (RFC 8414 §2, OIDC Discovery §3): where it is and what it must hold. Pure."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.errors import ProviderError
from jmap_proxy.origins import parse_origin, split_url

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin


class ProviderMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The members that are used here, by their names in the standards; unknown ones and nulls are passed over.

    The further endpoints are those of RFC 7591, RFC 8628 §4 and RFC 9126 §5.
    """

    issuer: str
    authorization_endpoint: str = ""
    token_endpoint: str
    jwks_uri: str = ""
    revocation_endpoint: str = ""
    registration_endpoint: str = ""
    device_authorization_endpoint: str = ""
    pushed_authorization_request_endpoint: str = ""
    require_pushed_authorization_requests: bool = False
    scopes_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "revocation_endpoint",
    "registration_endpoint",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
)


def on_this_machine(metadata: ProviderMetadata) -> tuple[Origin, str] | None:
    """The first endpoint whose host is this machine: where it is, and its name; None if there is none."""
    for name in ENDPOINTS:
        with contextlib.suppress(ValueError):  # what is no URL is not asked
            if (origin := parse_origin(getattr(metadata, name))).is_loopback:
                return origin, name
    return None


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of `issuer` can be: RFC 8414 §3.1 (path inserted) first, then OIDC (path appended).

    Raises:
        ProviderError: the issuer is no URL, or has a query or fragment (RFC 8414 §2).
    """
    try:
        origin, rest = split_url(issuer)
    except ValueError as error:
        raise ProviderError(f"issuer {issuer!r}: {error}", hint="set the account's issuer") from None
    if "?" in rest or "#" in rest:
        raise ProviderError(f"issuer {issuer!r} has a query or a fragment", hint="set the account's issuer")
    path = rest.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def parse_metadata(body: bytes, issuer: str) -> ProviderMetadata:
    """Read the document and see that it is this issuer's.

    Raises:
        ProviderError: not the expected JSON, or its `issuer` is not exactly `issuer` (RFC 8414 §3.3).
    """
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
        present = {name: value for name, value in document.items() if value is not None}
        metadata = msgspec.convert(present, ProviderMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(f"the metadata of {issuer} is not as RFC 8414 asks: {error}") from None
    if metadata.issuer != issuer:
        raise ProviderError(
            f"the metadata found for issuer {issuer!r} is that of issuer {metadata.issuer[:200]!a}",
            hint="set the account's issuer to exactly what the provider calls itself (mind a slash at the end)",
        )
    return metadata

"""A client that was registered at a provider for one account (RFC 7591): a value, kept with the tokens it got."""

from __future__ import annotations

import msgspec

from jmap_proxy.tokens.report import Moment  # noqa: TC001 - msgspec reads the annotation below


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the provider answered to the registration (RFC 7591 §3.2.1).

    Attributes:
        issuer: The provider.
        client_id: Which client it is there.
        client_secret: "" for a public client.
        client_secret_expires_at: Epoch seconds, 0 if it does not expire.
        token_endpoint_auth_method: How the client proves who it is, "none" for a public one.
        redirect_uris: Where the browser may be sent back to; the port of a loopback address is free (RFC 8252 §7.3).
        scope: What the client may ask for, separated by blanks, as far as the provider told.
        registered_at: Epoch seconds.
        registration_client_uri: Where the registration is managed (RFC 7592), "" if nowhere.
        registration_access_token: What that takes, "" if nothing.
    """

    issuer: str
    client_id: str
    client_secret: str = ""
    client_secret_expires_at: float = 0.0
    token_endpoint_auth_method: str = "none"  # noqa: S105 - the name of a method
    redirect_uris: tuple[str, ...] = ()
    scope: str = ""
    registered_at: Moment
    registration_client_uri: str = ""
    registration_access_token: str = ""

    def __repr__(self) -> str:
        return f"Registration(issuer={self.issuer!r}, client_id={self.client_id!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("issuer", self.issuer), ("client_id", self.client_id)]

"""What autodiscovery finds: a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jmap_proxy.oauth.metadata import ProviderMetadata


@dataclass(frozen=True, slots=True)
class Found:
    """What a sign-in needs to know of a server.

    Attributes:
        server: What to write as the account's `server`: its origin, or the Session URL where that is elsewhere.
        session_url: Where the Session was found, after redirects.
        issuer: The identity provider.
        metadata: What the provider says of itself.
        scopes: What to ask the provider for; empty where neither server nor provider says.
        resource: The server by its own name (RFC 8707), "" where it has not told.
        preset: Of the kind of server, "" if none is known to fit.
        notes: What the user is to be told.
    """

    server: str
    session_url: str
    issuer: str
    metadata: ProviderMetadata
    scopes: tuple[str, ...]
    resource: str
    preset: str = ""
    notes: tuple[str, ...] = ()

"""The identity provider's settings, changeable while it runs, and the metadata document that follows from them.

Data and pure functions: what the provider does about a setting is decided where it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final


class Automatic:
    """Stands for "the true value" where None already means "leave it out"."""

    def __repr__(self) -> str:
        return "AUTOMATIC"


AUTOMATIC: Final = Automatic()
SCOPES = ("openid", "offline_access", "urn:ietf:params:oauth:scope:mail")


@dataclass
class ProviderSettings:
    """How the identity provider behaves.

    In the `*_overrides`, a value replaces the true one and None removes it.

    Attributes:
        access_token_life: Seconds that an access token lives.
        rotate: A refresh answers with a new refresh token and spends the old one.
        revoke_on_reuse: Using a spent refresh token revokes the whole grant (RFC 9700 §4.14).
        grace: Seconds in which a spent refresh token may be replayed; it gets the same answer again.
        refresh_tokens: Whether the code's answer holds a refresh token at all.
        user: Who is signed in, unless the request's `login_hint` names another user.
        deny: The user refuses consent.
        client_id: The one client that is known.
        client_secret: If set, the client must show it, by Basic or in the form (RFC 6749 §2.3.1).
        expires_in: What the answer says in `expires_in`; None leaves it out.
        scope_in_answer: Whether the answer names the granted scope.
        token_type: What the answer says in `token_type`.
        iss_in_callback: Whether the redirect back names the issuer (RFC 9207).
        callback_overrides: Parameters of the redirect back.
        id_token_overrides: Claims of the ID token.
        foreign_signature: Sign ID tokens with a key that the JWKS does not hold.
        metadata_overrides: Properties of the metadata documents.
        serve_oauth_metadata: Whether `/.well-known/oauth-authorization-server` exists (RFC 8414).
        serve_openid_configuration: Whether `/.well-known/openid-configuration` exists.
    """

    access_token_life: float = 3600
    rotate: bool = True
    revoke_on_reuse: bool = True
    grace: float = 0
    refresh_tokens: bool = True
    user: str = "demo"
    deny: bool = False
    client_id: str = "jmap-proxy"
    client_secret: str = field(default="", repr=False)
    expires_in: object = AUTOMATIC
    scope_in_answer: bool = True
    token_type: str = "Bearer"
    iss_in_callback: bool = True
    callback_overrides: dict[str, str | None] = field(default_factory=dict)
    id_token_overrides: dict[str, Any] = field(default_factory=dict)
    foreign_signature: bool = False
    metadata_overrides: dict[str, Any] = field(default_factory=dict)
    serve_oauth_metadata: bool = True
    serve_openid_configuration: bool = True


def overridden(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The values with overrides applied: a value replaces, None removes."""
    merged = {**values, **overrides}
    return {key: value for key, value in merged.items() if value is not None}


def metadata(issuer: str, settings: ProviderSettings) -> dict[str, Any]:
    """The metadata document; both well-known paths serve the same one."""
    methods = ["client_secret_basic", "client_secret_post"] if settings.client_secret else ["none"]
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/jwks",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "authorization_response_iss_parameter_supported": settings.iss_in_callback,
    }
    return overridden(document, settings.metadata_overrides)

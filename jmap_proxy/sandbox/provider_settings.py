"""The identity provider's settings: how it behaves, changeable while it runs. Data only."""

from dataclasses import dataclass, field
from typing import Any, Final


class Automatic:
    """Stands for "the true value" where None already means "leave it out"."""

    def __repr__(self) -> str:
        return "AUTOMATIC"


AUTOMATIC: Final = Automatic()


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
    """Return values with overrides applied: a value replaces, None removes."""
    merged = {**values, **overrides}
    return {key: value for key, value in merged.items() if value is not None}

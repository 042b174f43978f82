"""The identity provider's settings, changeable while it runs, and the metadata document that follows from them.

Data and pure functions: what the provider does about a setting is decided where it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


class Automatic:
    """Stands for "the true value" where None already means "leave it out"."""

    def __repr__(self) -> str:
        return "AUTOMATIC"


AUTOMATIC: Final = Automatic()
SCOPES = ("openid", "offline_access", "urn:ietf:params:oauth:scope:mail")
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
"""How clients may authenticate (RFC 7591 §2, OpenID Connect Core 1.0 §9)."""
ASSERTION_ALGORITHMS = ("RS256", "PS256", "ES256")
"""With what a client may sign its assertion."""
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


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
        heed_login_hint: Whether it may; without, the wrong person can sign in.
        deny: The user refuses consent.
        refuse_with: The error code that every authorization request is refused with; empty for none.
        error_description: What is said with a refusal that goes back with the browser, whatever its code.
        scopes: The scopes that there are.
        refuse_scopes: Refuse a request for a scope that is not there (`invalid_scope`).
        grant_scopes: What is granted of what was asked for; None for all of it.
        required_resource: What an authorization request must name as `resource` (RFC 8707), as Fastmail wants it; else
            it is refused (`invalid_target`). Empty if it may name anything or nothing.
        refuse_resource: Refuse an authorization request that names a `resource`, as Entra does (`invalid_request`).
        client_id: The one client that is known without registration.
        client_secret: If set, the client must show it, by Basic or in the form (RFC 6749 §2.3.1).
        client_jwks: If set, the client's public keys as a JWKS; it may authenticate with `private_key_jwt`.
        auth_methods: The only ways to authenticate; without any, those that the known clients can take.
        registration: Whether clients may register (RFC 7591): not at all, all, or with the initial access token.
        initial_access_token: That token.
        registration_refusal: The error code that every registration is refused with; empty for none.
        registration_overrides: Properties of the answer to a registration; what is known of the client stays.
        client_secret_life: Seconds that a registered client's secret lives; 0 for ever.
        device: Whether there is a device flow (RFC 8628).
        device_interval: Seconds between polls; None says nothing, which means 5.
        device_code_life: Seconds that a device code lives.
        verification_uri_complete: Whether the answer has a URL that holds the user code.
        pushed_authorization_requests: Whether requests may be pushed (RFC 9126).
        require_pushed_authorization_requests: Whether they must be.
        expires_in: What the answer says in `expires_in`; None leaves it out.
        scope_in_answer: Whether the answer names the granted scope.
        token_type: What the answer says in `token_type`.
        iss_in_callback: Whether the redirect back names the issuer (RFC 9207).
        callback_overrides: Parameters of the redirect back.
        callback_host: The host that the browser is sent back to instead of the one asked for; empty for that one.
        drop_callback_port: Send the browser back without the port, as Fastmail may.
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
    heed_login_hint: bool = True
    deny: bool = False
    refuse_with: str = ""
    error_description: str = field(default="", repr=False)
    scopes: tuple[str, ...] = SCOPES
    refuse_scopes: bool = False
    grant_scopes: tuple[str, ...] | None = None
    required_resource: str = ""
    refuse_resource: bool = False
    client_id: str = "jmap-proxy"
    client_secret: str = field(default="", repr=False)
    client_jwks: dict[str, Any] | None = field(default=None, repr=False)
    auth_methods: tuple[str, ...] = ()
    registration: Literal["off", "open", "token"] = "off"
    initial_access_token: str = field(default="initial", repr=False)
    registration_refusal: str = ""
    registration_overrides: dict[str, Any] = field(default_factory=dict)
    client_secret_life: float = 0
    device: bool = False
    device_interval: int | None = 5
    device_code_life: float = 600
    verification_uri_complete: bool = True
    pushed_authorization_requests: bool = False
    require_pushed_authorization_requests: bool = False
    expires_in: object = AUTOMATIC
    scope_in_answer: bool = True
    token_type: str = "Bearer"
    iss_in_callback: bool = True
    callback_overrides: dict[str, str | None] = field(default_factory=dict)
    id_token_overrides: dict[str, Any] = field(default_factory=dict)
    callback_host: str = ""
    drop_callback_port: bool = False
    foreign_signature: bool = False
    metadata_overrides: dict[str, Any] = field(default_factory=dict)
    serve_oauth_metadata: bool = True
    serve_openid_configuration: bool = True

    def methods_of_client(self) -> tuple[str, ...]:
        """How the one known client may authenticate: as its secret and its keys allow, or with its name alone."""
        able = [*AUTH_METHODS[1:3]] if self.client_secret else []
        if self.client_jwks is not None:
            able.append("private_key_jwt")
        return self._allowed(able or ["none"])

    def methods(self) -> tuple[str, ...]:
        """How clients may authenticate."""
        return self.methods_of_client() if self.registration == "off" else self._allowed(AUTH_METHODS)

    def _allowed(self, able: Iterable[str]) -> tuple[str, ...]:
        return tuple(method for method in able if not self.auth_methods or method in self.auth_methods)

    def grant_types(self) -> tuple[str, ...]:
        """What tokens are given for."""
        types = ["authorization_code", "refresh_token"]
        if set(self.methods()) != {"none"}:
            types.append("client_credentials")
        if self.device:
            types.append(DEVICE_CODE)
        return tuple(types)


def overridden(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The values with overrides applied: a value replaces, None removes."""
    merged = {**values, **overrides}
    return {key: value for key, value in merged.items() if value is not None}


def metadata(issuer: str, settings: ProviderSettings) -> dict[str, Any]:
    """The metadata document; both well-known paths serve the same one."""
    methods = list(settings.methods())
    signed = "private_key_jwt" in methods
    document = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "revocation_endpoint": f"{issuer}/revoke",
        **_offers(issuer, settings),
        "jwks_uri": f"{issuer}/jwks",
        "scopes_supported": list(settings.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(settings.grant_types()),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS) if signed else None,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "authorization_response_iss_parameter_supported": settings.iss_in_callback,
    }
    return overridden(document, settings.metadata_overrides)


def _offers(issuer: str, settings: ProviderSettings) -> dict[str, Any]:
    """What only some providers have; None for what this one has not."""
    required = settings.require_pushed_authorization_requests
    pushed = settings.pushed_authorization_requests or required
    return {
        "registration_endpoint": f"{issuer}/register" if settings.registration != "off" else None,
        "device_authorization_endpoint": f"{issuer}/device_authorization" if settings.device else None,
        "pushed_authorization_request_endpoint": f"{issuer}/par" if pushed else None,
        "require_pushed_authorization_requests": required or None,
    }

"""The metadata document (RFC 8414 §2, OpenID Connect Discovery 1.0 §3). A pure function."""

from typing import Any

from jmap_proxy.sandbox.provider_settings import ProviderSettings, overridden

SCOPES = ("openid", "offline_access", "urn:ietf:params:oauth:scope:mail")


def metadata(issuer: str, settings: ProviderSettings) -> dict[str, Any]:
    """Return the metadata document; both well-known paths serve the same one."""
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

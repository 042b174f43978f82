"""The OAuth client that the proxy is to a provider: its identity, and how it proves it (RFC 6749 §2.3)."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from jmap_proxy.oauth.client_key import ASSERTION_TYPE, ClientKey

if TYPE_CHECKING:
    from jmap_proxy.oauth.metadata import ProviderMetadata
    from jmap_proxy.tokens.registration import Registration
    from jmap_proxy.tokens.tokenset import TokenSet

METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
"""How a client can prove who it is (RFC 7591 §2, OpenID Connect Core §9)."""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Identity and wishes of the client.

    Attributes:
        issuer: The provider, "" where the configuration leaves that open.
        client_id: Sent with every request, also by public clients (James and Keycloak want it on refresh); "" where
            the configuration leaves it open.
        client_secret: "" for a client without.
        client_key: For `private_key_jwt`, None for a client without.
        method: How the client proves who it is; "auto": by what it has, and by what the provider takes.
        scopes: What is asked for at sign-in.
        resource: RFC 8707 resource indicator, "" to leave it out (some providers refuse it).
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    client_key: ClientKey | None = None
    method: str = "auto"
    scopes: tuple[str, ...] = ()
    resource: str = ""

    def registered(self, registration: Registration) -> OAuthClient:
        """The client that a registration has made, with the same wishes as far as it allows them (RFC 7591 §3.2.1)."""
        allowed = registration.scope.split()
        return replace(
            self,
            issuer=registration.issuer,
            client_id=registration.client_id,
            client_secret=registration.client_secret,
            client_key=None,
            method=registration.token_endpoint_auth_method,
            scopes=tuple(scope for scope in self.scopes if scope in allowed) or self.scopes,
        )

    def of(self, tokens: TokenSet) -> OAuthClient:
        """The client that these tokens were given to, where the configuration leaves open which one that is.

        What the configuration says stays: with another issuer or client than that of the sign-in the tokens are not
        this client's.
        """
        known = self
        if tokens.registration is not None and not self.client_id and self.issuer in {"", tokens.registration.issuer}:
            known = self.registered(tokens.registration)
        return replace(
            known,
            issuer=known.issuer or tokens.issuer,
            client_id=known.client_id or tokens.client_id,
            resource=tokens.resource or self.resource,
        )

    def authenticate(
        self, metadata: ProviderMetadata, form: dict[str, str], now: float
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The form and the header fields of a request to an endpoint of the provider that wants to know its client.

        Args:
            metadata: Of the provider.
            form: What is asked.
            now: Epoch seconds, for an assertion.
        """
        form, method = {**form, "client_id": self.client_id}, self._method(metadata)
        if method == "private_key_jwt" and self.client_key is not None:
            # The issuer and nothing else: a provider that names another's token endpoint as its own would get an
            # assertion that is good there (RFC 7523bis §4).
            assertion = self.client_key.assertion(
                self.client_id,
                metadata.issuer,
                metadata.token_endpoint_auth_signing_alg_values_supported,
                now=now,
                unique=secrets.token_urlsafe(16),
            )
            return {**form, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}, {}
        if method == "client_secret_post":
            return {**form, "client_secret": self.client_secret}, {}
        if method == "client_secret_basic":
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            return form, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return form, {}

    def _method(self, metadata: ProviderMetadata) -> str:
        """As is said, else by what the client has; a secret goes by Basic unless only the form is taken."""
        if self.method != "auto":
            return self.method
        if self.client_key is not None:
            return "private_key_jwt"
        if not self.client_secret:
            return "none"
        taken = metadata.token_endpoint_auth_methods_supported
        by_form_only = "client_secret_post" in taken and "client_secret_basic" not in taken
        return "client_secret_post" if by_form_only else "client_secret_basic"

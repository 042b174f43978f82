"""The OAuth client that the proxy is to a provider: its identity, and how it proves it (RFC 6749 §2.3)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from jmap_proxy.oauth.metadata import ProviderMetadata


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Identity and wishes of the client.

    Attributes:
        issuer: The provider.
        client_id: Sent with every request, also by public clients (James and Keycloak want it on refresh).
        client_secret: "" for a public client.
        scopes: What is asked for at sign-in.
        resource: RFC 8707 resource indicator, "" to leave it out (some providers refuse it).
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ()
    resource: str = ""

    def authenticate(self, metadata: ProviderMetadata, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """The form and the header fields of a request to the token or revocation endpoint.

        A secret goes by Basic (RFC 6749 §2.3.1) unless the provider takes it in the form only.
        """
        form = {**form, "client_id": self.client_id}
        methods = metadata.token_endpoint_auth_methods_supported
        if not self.client_secret:
            return form, {}
        if "client_secret_post" in methods and "client_secret_basic" not in methods:
            return {**form, "client_secret": self.client_secret}, {}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return form, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

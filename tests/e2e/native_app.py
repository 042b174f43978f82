"""An OAuth client of the harness's own, to try the parts without the proxy."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.e2e.browser import Browser
from tests.e2e.fetch import Answer, fetch

_REDIRECT = "http://127.0.0.1:1/callback"
_SCOPE = "openid offline_access urn:ietf:params:jmap:core urn:ietf:params:jmap:mail"


class NativeApp:
    """Signs in with authorization code and PKCE, and refreshes."""

    client_id = "jmap-chain"

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._metadata: dict[str, Any] = fetch(f"{issuer}/.well-known/openid-configuration").json()

    def sign_in(self) -> dict[str, Any]:
        """The token endpoint's answer."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        back = Browser().visit(self._sign_in_url(verifier, state), stop_before=_REDIRECT)
        query = parse_qs(urlsplit(back).query)
        assert query["state"] == [state], back
        assert query["iss"] == [self._issuer], back
        proof = {"code": query["code"][0], "code_verifier": verifier, "redirect_uri": _REDIRECT}
        tokens: dict[str, Any] = self._token(grant_type="authorization_code", **proof).json()
        return tokens

    def refresh(self, refresh_token: str) -> Answer:
        """What the token endpoint says to a refresh token."""
        return self._token(grant_type="refresh_token", refresh_token=refresh_token)

    def _token(self, **form: str) -> Answer:
        return fetch(self._metadata["token_endpoint"], form={"client_id": self.client_id, **form})

    def _sign_in_url(self, verifier: str, state: str) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": _REDIRECT,
            "scope": _SCOPE,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._metadata['authorization_endpoint']}?{urlencode(query)}"

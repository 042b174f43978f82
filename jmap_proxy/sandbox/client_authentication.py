"""Which client is calling, and can it prove that (RFC 6749 §2.3, RFC 7521, RFC 7523 §3)? No HTTP."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from jmap_proxy.sandbox.grants import GrantError
from jmap_proxy.sandbox.provider_settings import ASSERTION_ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from jmap_proxy.sandbox.clients import Client, Clients

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientAuthentication:
    """Recognises clients. An assertion is good once: its `jti` is kept.

    Args:
        clients: Those that are known.
        audiences: Returns what an assertion may name as its audience.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(self, clients: Clients, audiences: Callable[[], Collection[str]], clock: Callable[[], float]) -> None:
        self._clients = clients
        self._audiences = audiences
        self._clock = clock
        self._used: set[tuple[str, str]] = set()

    def client_of(self, form: Mapping[str, str], authorization: str) -> Client:
        """The client that calls.

        Args:
            form: The request's form.
            authorization: The request's `Authorization` header, empty if there is none; it counts before the form.

        Raises:
            GrantError: `invalid_client`.
        """
        method, client_id, secret = credentials_of(form, authorization)
        client = self._clients.get(client_id)
        if client is None:
            raise _refused("client_id is unknown")
        if method not in client.methods:
            raise _refused(f"{method} is not how this client authenticates")
        if method == "private_key_jwt":
            self._check_assertion(client, secret)
        elif method != "none":
            self._check_secret(client, secret)
        return client

    def _check_secret(self, client: Client, secret: str) -> None:
        if not hmac.compare_digest(secret.encode(), client.secret.encode()):
            raise _refused("client_secret does not match")
        if client.secret_expires_at and self._clock() >= client.secret_expires_at:
            raise _refused("client_secret has expired")

    def _check_assertion(self, client: Client, assertion: str) -> None:
        """Signature, `iss`, `sub`, `aud`, `exp` and `jti` (RFC 7523 §3)."""
        try:
            keys = KeySet.import_key_set(client.jwks or {"keys": []})  # type: ignore[arg-type]
            claims = jwt.decode(assertion, keys, algorithms=list(ASSERTION_ALGORITHMS)).claims
        except (JoseError, ValueError):
            raise _refused("the assertion's signature is not one of this client's keys") from None
        self._check_claims(client.client_id, claims)
        use = (client.client_id, str(claims["jti"]))
        if use in self._used:
            raise _refused("the assertion was used before")
        self._used.add(use)

    def _check_claims(self, client_id: str, claims: Mapping[str, Any]) -> None:
        if not claims.get("iss") == claims.get("sub") == client_id:
            raise _refused("the assertion's iss and sub are not the client_id")
        named = claims.get("aud")
        if not set(named if isinstance(named, list) else [named]) & set(self._audiences()):
            raise _refused("the assertion's aud is neither the issuer nor the endpoint")
        expires_at = claims.get("exp")
        if not isinstance(expires_at, int | float) or expires_at <= self._clock():
            raise _refused("the assertion has expired, or says not when it will")
        if not claims.get("jti"):
            raise _refused("the assertion has no jti")


def credentials_of(form: Mapping[str, str], authorization: str) -> tuple[str, str, str]:
    """What a request shows of its client: the method of RFC 7591 §2, the client's id, and its secret or assertion.

    Raises:
        GrantError: `invalid_client`: it cannot be read.
    """
    if authorization:
        return ("client_secret_basic", *_basic(authorization))
    if form.get("client_assertion_type") == ASSERTION_TYPE:
        assertion = form.get("client_assertion", "")
        return "private_key_jwt", form.get("client_id") or _subject(assertion), assertion
    client_id = form.get("client_id", "")
    if "client_secret" in form:
        return "client_secret_post", client_id, form["client_secret"]
    return "none", client_id, ""


def _basic(authorization: str) -> tuple[str, str]:
    """Client id and secret of a Basic header; both are form-urlencoded in it."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise _refused("only Basic is understood here")
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _refused("the Basic credentials are malformed") from None
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


def _subject(assertion: str) -> str:
    """Whose assertion it claims to be: which keys to try (RFC 7521 §4.2: client_id may be left out)."""
    try:
        payload = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["sub"])
    except (ValueError, LookupError, TypeError):
        raise _refused("the assertion is malformed") from None


def _refused(description: str) -> GrantError:
    return GrantError("invalid_client", description)

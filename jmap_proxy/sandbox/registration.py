"""Dynamic client registration (RFC 7591), and what a client may see and end of it afterwards (RFC 7592 §2.1, §2.3).

What is asked for becomes a client in `registered`, which is pure; the endpoint is the thin shell around it.
"""

from __future__ import annotations

import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from jmap_proxy.sandbox.clients import Client, Clients, Registered, redirect_matches, split_redirect
from jmap_proxy.sandbox.forms import NO_STORE
from jmap_proxy.sandbox.provider_settings import DEVICE_CODE, ProviderSettings, overridden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jmap_proxy.sandbox.faults import Faults

_GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE)
_KEPT = ("client_name", "client_uri", "software_id", "software_version", "application_type")
"""What is told back as it was asked for."""


class RegistrationError(Exception):
    """A registration that is refused.

    Args:
        code: The error code of RFC 7591 §3.2.2.
        description: What a developer should know.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class RegistrationEndpoint:
    """Answers registrations, and the clients' own configuration endpoints.

    Args:
        settings: Who may register, and what goes wrong.
        clients: Where new ones are put.
        faults: The faults armed at `register`.
        issuer: Returns this provider's issuer.
        clock: Returns the time in seconds since the epoch.

    Attributes:
        requests: What was sent so far; an empty object for what was none.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        clients: Clients,
        faults: Faults,
        issuer: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self._settings = settings
        self._clients = clients
        self._faults = faults
        self._issuer = issuer
        self._clock = clock

    async def register(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /register`."""
        wanted = _json_object(await request.read())
        self.requests.append(wanted or {})

        async def endpoint() -> web.Response:
            if self._settings.registration == "off":
                raise web.HTTPNotFound
            token = self._settings.initial_access_token
            if self._settings.registration == "token" and not _shows(request, token):
                return _unauthorized()
            return self._answer(wanted)

        return await self._faults.meet("register", request, endpoint)

    def _answer(self, wanted: dict[str, Any] | None) -> web.Response:
        try:
            if self._settings.registration_refusal:
                raise RegistrationError(self._settings.registration_refusal, self._settings.error_description)  # noqa: TRY301
            known = registered(wanted, self._settings, now=self._clock())
        except RegistrationError as error:
            body = {"error": error.code, "error_description": error.description}
            return web.json_response(body, status=400, headers=NO_STORE)
        known.answer["registration_client_uri"] = f"{self._issuer()}/register/{known.client.client_id}"
        self._clients.add(known)
        return web.json_response(self._told(known), status=201, headers=NO_STORE)

    def _told(self, known: Registered) -> dict[str, Any]:
        return overridden(known.answer, self._settings.registration_overrides)

    async def configuration(self, request: web.Request) -> web.StreamResponse:
        """Answer `GET` and `DELETE /register/CLIENT_ID`; 401 for a client that is not known, too (RFC 7592 §2.1)."""
        known = self._clients.registered(request.match_info["client_id"])
        if known is None or not _shows(request, known.access_token):
            return _unauthorized()
        if request.method == hdrs.METH_DELETE:
            self._clients.remove(known.client.client_id)
            return web.Response(status=204, headers=NO_STORE)
        return web.json_response(self._told(known), headers=NO_STORE)


def registered(wanted: Mapping[str, Any] | None, settings: ProviderSettings, *, now: float) -> Registered:
    """The client that a registration makes, with an id of its own.

    Args:
        wanted: The client's metadata (RFC 7591 §2), None if it is no JSON object.
        settings: What this provider offers.
        now: Seconds since the epoch.

    Raises:
        RegistrationError: `invalid_redirect_uri` or `invalid_client_metadata`.
    """
    if wanted is None:
        raise RegistrationError("invalid_client_metadata", "this is no JSON object")
    grant_types = _strings(wanted, "grant_types", ["authorization_code"])
    unknown = [each for each in grant_types if each not in _GRANT_TYPES]
    if unknown:
        raise RegistrationError("invalid_client_metadata", f"grant_types: {unknown[0]} is not offered")
    redirect_uris = _redirect_uris(wanted, grant_types)
    method, jwks = _method(wanted, settings)
    client = Client(
        secrets.token_urlsafe(16),
        frozenset({method}),
        secret=secrets.token_urlsafe(32) if method.startswith("client_secret_") else "",
        secret_expires_at=now + settings.client_secret_life if settings.client_secret_life else 0,
        jwks=jwks,
        takes_redirect=lambda uri: any(redirect_matches(each, uri) for each in redirect_uris),
        grant_types=frozenset(grant_types),
        scope=_scope(wanted, settings),
    )
    return _told(client, wanted, now=now)


def _told(client: Client, wanted: Mapping[str, Any], *, now: float) -> Registered:
    """The client with the answer to its registration (RFC 7591 §3.2.1)."""
    known = Registered(client, {key: wanted[key] for key in _KEPT if key in wanted})
    secret = {"client_secret": client.secret, "client_secret_expires_at": int(client.secret_expires_at)}
    known.answer |= {
        "client_id": client.client_id,
        "client_id_issued_at": int(now),
        **(secret if client.secret else {}),
        "redirect_uris": list(wanted.get("redirect_uris", [])),
        "grant_types": sorted(client.grant_types or []),
        "response_types": ["code"] if client.may("authorization_code") else [],
        "token_endpoint_auth_method": next(iter(client.methods)),
        "registration_access_token": known.access_token,
        **({"jwks": client.jwks} if client.jwks else {}),
        **({"scope": client.scope} if client.scope else {}),
    }
    return known


def _redirect_uris(wanted: Mapping[str, Any], grant_types: list[str]) -> list[str]:
    uris = _strings(wanted, "redirect_uris", [])
    if not uris and "authorization_code" in grant_types:
        raise RegistrationError("invalid_redirect_uri", "redirect_uris is missing")
    for uri in uris:
        parts = split_redirect(uri)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RegistrationError("invalid_redirect_uri", f"{uri} is not a URI that a browser can be sent to")
    return uris


def _method(wanted: Mapping[str, Any], settings: ProviderSettings) -> tuple[str, dict[str, Any] | None]:
    """How the client will authenticate, and with which keys; RFC 7591 §2 has Basic as the default."""
    method = wanted.get("token_endpoint_auth_method", "client_secret_basic")
    if method not in settings.methods():
        raise RegistrationError("invalid_client_metadata", f"token_endpoint_auth_method: {method} is not offered")
    if method != "private_key_jwt":
        return method, None
    jwks = wanted.get("jwks")
    if not isinstance(jwks, dict) or not jwks.get("keys"):
        raise RegistrationError("invalid_client_metadata", "private_key_jwt needs a jwks")
    return method, jwks


def _scope(wanted: Mapping[str, Any], settings: ProviderSettings) -> str:
    """The scopes that the client may ask for: those that there are, or all if it names none."""
    scope = wanted.get("scope", "")
    if not isinstance(scope, str):
        raise RegistrationError("invalid_client_metadata", "scope is no string")
    unknown = [each for each in scope.split() if each not in settings.scopes]
    if unknown and settings.refuse_scopes:
        raise RegistrationError("invalid_client_metadata", f"scope: {unknown[0]} is not offered")
    return " ".join(each for each in scope.split() if each not in unknown)


def _strings(wanted: Mapping[str, Any], key: str, default: list[str]) -> list[str]:
    value = wanted.get(key, default)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RegistrationError("invalid_client_metadata", f"{key} is no array of strings")
    return value


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _shows(request: web.Request, token: str) -> bool:
    """Whether a request shows a bearer token (RFC 6750 §2.1)."""
    scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), token.encode())


def _unauthorized() -> web.Response:
    headers = {**NO_STORE, hdrs.WWW_AUTHENTICATE: 'Bearer error="invalid_token"'}
    return web.json_response({"error": "invalid_token"}, status=401, headers=headers)

"""Pushed authorization requests: the request comes before the browser does, from the client itself (RFC 9126)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from jmap_proxy.sandbox.authorization import (
    RefusedRequestError,
    UntrustedRequestError,
    check_sound,
    trusted_client,
)
from jmap_proxy.sandbox.forms import NO_STORE, form_of, refusal
from jmap_proxy.sandbox.grants import GrantError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.client_authentication import ClientAuthentication
    from jmap_proxy.sandbox.clients import Clients
    from jmap_proxy.sandbox.provider_settings import ProviderSettings

PUSHED_LIFE = 60
"""Seconds that a pushed request lives (RFC 9126 §2.2: 5 to 600)."""
PREFIX = "urn:ietf:params:oauth:request_uri:"
_CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


@dataclass(frozen=True)
class _Pushed:
    params: dict[str, str] = field(repr=False)
    expires_at: float


class PushedRequests:
    """Takes requests, and gives each out once.

    Args:
        settings: Whether they are taken.
        authentication: Which client pushes.
        clients: Those that are known.
        clock: Returns the time in seconds since the epoch.

    Attributes:
        requests: The form of every request that was pushed so far.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        authentication: ClientAuthentication,
        clients: Clients,
        clock: Callable[[], float],
    ) -> None:
        self.requests: list[dict[str, str]] = []
        self._settings = settings
        self._authentication = authentication
        self._clients = clients
        self._clock = clock
        self._waiting: dict[str, _Pushed] = {}

    async def push(self, request: web.Request) -> web.Response:
        """Answer `POST /par`: 201 with the URI to send the browser with."""
        if not (self._settings.pushed_authorization_requests or self._settings.require_pushed_authorization_requests):
            raise web.HTTPNotFound
        form, authorization = await form_of(request), request.headers.get(hdrs.AUTHORIZATION, "")
        self.requests.append(form)
        try:
            params = self._checked(form, authorization)
        except GrantError as error:
            return refusal(error, authorization)
        uri = PREFIX + secrets.token_urlsafe(24)
        self._waiting[uri] = _Pushed(params, self._clock() + PUSHED_LIFE)
        answer = {"request_uri": uri, "expires_in": PUSHED_LIFE}
        return web.json_response(answer, status=201, headers=NO_STORE)

    def _checked(self, form: dict[str, str], authorization: str) -> dict[str, str]:
        """The parameters of a request that the browser may come with.

        Raises:
            GrantError: The error code that the browser would have been sent back with (RFC 9126 §2.3).
        """
        client = self._authentication.client_of(form, authorization)
        if "request_uri" in form:
            raise GrantError("invalid_request", "request_uri cannot be pushed")
        params = {key: value for key, value in form.items() if key not in _CREDENTIALS}
        params["client_id"] = client.client_id
        try:
            check_sound(params, trusted_client(params, self._clients), self._settings)
        except UntrustedRequestError as error:
            raise GrantError("invalid_request", str(error)) from None
        except RefusedRequestError as error:
            raise GrantError(error.code, error.description) from None
        return params

    def take(self, params: dict[str, str]) -> dict[str, str]:
        """The request that a browser means: a pushed one if it names one, else its own.

        Raises:
            UntrustedRequestError: The pushed request is unknown, used, expired or another client's.
        """
        uri = params.get("request_uri")
        if uri is None:
            return params
        pushed = self._waiting.pop(uri, None)
        if pushed is None or self._clock() >= pushed.expires_at:
            raise UntrustedRequestError("request_uri is unknown, used or expired")
        if pushed.params["client_id"] != params.get("client_id"):
            raise UntrustedRequestError("request_uri is not this client's")
        return pushed.params

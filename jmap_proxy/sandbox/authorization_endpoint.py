"""The authorization endpoint: where the browser comes, and is sent back from (RFC 6749 §4.1)."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from jmap_proxy.sandbox.authorization import (
    RefusedRequestError,
    UntrustedRequestError,
    check_request,
    code_request,
    trusted_client,
    way_back,
)
from jmap_proxy.sandbox.forms import NO_STORE

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.clients import Client, Clients
    from jmap_proxy.sandbox.grants import Grants
    from jmap_proxy.sandbox.provider_settings import ProviderSettings
    from jmap_proxy.sandbox.pushed_requests import PushedRequests


class AuthorizationEndpoint:
    """Sends browsers back with a code or an error. Users consent at once, or refuse.

    Args:
        settings: Who is signed in, and what is refused.
        clients: Those that are known.
        pushed: Requests that came before the browser.
        grants: Where codes are issued.
        issuer: Returns this provider's issuer.

    Attributes:
        requests: The parameters of every request so far, as the browser brought them.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        clients: Clients,
        pushed: PushedRequests,
        grants: Grants,
        issuer: Callable[[], str],
    ) -> None:
        self.requests: list[dict[str, str]] = []
        self._settings = settings
        self._clients = clients
        self._pushed = pushed
        self._grants = grants
        self._issuer = issuer

    async def authorize(self, request: web.Request) -> web.Response:
        """Answer `GET` or `POST /authorize`."""
        fields = request.query if request.method == hdrs.METH_GET else await request.post()
        params = {key: str(value) for key, value in fields.items()}
        self.requests.append(params)
        named = params
        try:
            params = self._pushed.take(named)
            client = trusted_client(params, self._clients)
        except UntrustedRequestError as error:
            return error_page("Cannot sign in", str(error))
        was_pushed = params is not named
        location = way_back(params, self._answer(params, client, was_pushed=was_pushed), self._issuer(), self._settings)
        return web.Response(status=302, headers={**NO_STORE, hdrs.LOCATION: location})

    def _answer(self, params: dict[str, str], client: Client, *, was_pushed: bool) -> dict[str, str]:
        """A code, or the error with what the settings want to be said of it."""
        try:
            if self._settings.require_pushed_authorization_requests and not was_pushed:
                raise RefusedRequestError("invalid_request", "requests must be pushed")  # noqa: TRY301 - one way out
            check_request(params, client, self._settings)
        except RefusedRequestError as error:
            said = self._settings.error_description or error.description
            return {"error": error.code, **({"error_description": said} if said else {})}
        return {"code": self._grants.issue_code(code_request(params, client, self._settings))}


def error_page(title: str, text: str) -> web.Response:
    """A page that says what is wrong, and leads nowhere."""
    page = f"<!doctype html><title>{html.escape(title)}</title><p>{html.escape(text)}"
    return web.Response(status=400, text=page, content_type="text/html", headers=NO_STORE)

"""The device flow's endpoints: where a device asks for codes, and the pages where its user decides (RFC 8628).

What the codes mean belongs to `device_codes`; polling is the token endpoint's.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import hdrs, web

from jmap_proxy.sandbox.authorization import RefusedRequestError, check_scope, grant_for
from jmap_proxy.sandbox.authorization_endpoint import error_page
from jmap_proxy.sandbox.forms import NO_STORE, form_of, refusal
from jmap_proxy.sandbox.grants import GrantError
from jmap_proxy.sandbox.provider_settings import overridden

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.client_authentication import ClientAuthentication
    from jmap_proxy.sandbox.clients import Clients
    from jmap_proxy.sandbox.device_codes import DeviceCodes, DeviceRequest
    from jmap_proxy.sandbox.provider_settings import ProviderSettings

VERIFICATION_PATH = "/device"
_ASK_CODE = """<!doctype html><title>Connect a device</title>
<form action="/device"><label>Code <input name="user_code"></label> <button>Next</button></form>"""
_ASK_CONSENT = """<!doctype html><title>Connect a device</title><p>Is {code} what your device shows?
<form action="/device" method="post"><input type="hidden" name="user_code" value="{code}">
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button></form>"""
_DONE = "<!doctype html><title>Done</title><p>{text} You may go back to your device."


class DeviceEndpoint:
    """Gives devices codes, and asks their users.

    Args:
        settings: Whether there is a device flow, who is signed in, what the answer leaves out.
        authentication: Which client asks.
        clients: Those that are known.
        codes: The rules.
        issuer: Returns this provider's issuer.

    Attributes:
        requests: The form of every request for codes so far.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        authentication: ClientAuthentication,
        clients: Clients,
        codes: DeviceCodes,
        issuer: Callable[[], str],
    ) -> None:
        self.requests: list[dict[str, str]] = []
        self._settings = settings
        self._authentication = authentication
        self._clients = clients
        self._codes = codes
        self._issuer = issuer

    async def authorize(self, request: web.Request) -> web.Response:
        """Answer `POST /device_authorization` (RFC 8628 §3.1)."""
        form, authorization = await form_of(request), request.headers.get(hdrs.AUTHORIZATION, "")
        if not self._settings.device:
            raise web.HTTPNotFound
        self.requests.append(form)
        try:
            return web.json_response(self._started(form, authorization), headers=NO_STORE)
        except GrantError as error:
            return refusal(error, authorization)

    def _started(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        client, scope = self._authentication.client_of(form, authorization), form.get("scope", "")
        try:
            check_scope(scope, client, self._settings)
        except RefusedRequestError as error:
            raise GrantError(error.code, error.description) from None
        return self._told(self._codes.start(client.client_id, scope))

    def _told(self, started: DeviceRequest) -> dict[str, Any]:
        """The answer of RFC 8628 §3.2."""
        page = f"{self._issuer()}{VERIFICATION_PATH}"
        complete = f"{page}?{urlencode({'user_code': started.user_code})}"
        answer = {
            "device_code": started.device_code,
            "user_code": started.user_code,
            "verification_uri": page,
            "verification_uri_complete": complete if self._settings.verification_uri_complete else None,
            "expires_in": int(self._settings.device_code_life),
            "interval": self._settings.device_interval,
        }
        return overridden(answer, {})

    async def verify(self, request: web.Request) -> web.Response:
        """Answer `GET` and `POST /device`: ask for the code, then whether to allow it, and take the decision."""
        fields = request.query if request.method == hdrs.METH_GET else await request.post()
        code = str(fields.get("user_code", ""))
        if not code:
            return _page(_ASK_CODE)
        waiting = self._codes.undecided(code)
        if waiting is None:
            return error_page("Unknown code", "This code is unknown, has expired or was used.")
        if request.method == hdrs.METH_GET:
            return _page(_ASK_CONSENT.format(code=html.escape(waiting.user_code)))
        return self._decide(waiting, allowed=fields.get("decision") == "allow" and not self._settings.deny)

    def _decide(self, waiting: DeviceRequest, *, allowed: bool) -> web.Response:
        client = self._clients.get(waiting.client_id)
        if client is None:
            return error_page("Unknown client", "The client of this device is not known any more.")
        if not allowed:
            waiting.denied = True
            return _page(_DONE.format(text="You refused."))
        waiting.grant = grant_for(client, waiting.scope, self._settings)
        return _page(_DONE.format(text="You allowed it."))


def _page(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers=NO_STORE)

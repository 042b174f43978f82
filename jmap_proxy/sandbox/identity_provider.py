"""The sandbox's identity provider: the place where its parts are put together and get their paths."""

from __future__ import annotations

import functools
import html
import time
from typing import TYPE_CHECKING, Self

from aiohttp import hdrs, web

from jmap_proxy.sandbox.authorization import (
    UntrustedRequestError,
    check_trust,
    code_request,
    error_of,
    way_back,
)
from jmap_proxy.sandbox.faults import Faults, colour_answer
from jmap_proxy.sandbox.grants import Grants
from jmap_proxy.sandbox.listener import Listener
from jmap_proxy.sandbox.provider_settings import ProviderSettings, metadata
from jmap_proxy.sandbox.signing_key import SigningKey
from jmap_proxy.sandbox.token_endpoint import NO_STORE, TokenEndpoint, TokenRequest, token_answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class IdentityProvider:
    """An OAuth 2.0 and OpenID Connect provider on loopback, with one client and users who always consent.

    Use it as an asynchronous context manager: it serves inside the `async with`.

    Args:
        settings: How it behaves; may be changed while it runs.
        clock: Returns the time in seconds since the epoch.
        port: The port to bind; 0 lets the kernel choose.
        ssl_context: Serves https with this context, http without.

    Attributes:
        issuer: The issuer and origin; empty until it serves.
        faults: Places `metadata`, `jwks`, `authorize`, `token` and `revoke`.
        metadata_requests: How often a metadata document was asked for.
        authorize_requests: The parameters of every authorization request.
    """

    def __init__(
        self,
        *,
        settings: ProviderSettings | None = None,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.issuer = ""
        self._settings = settings or ProviderSettings()
        self.faults = Faults()
        self.metadata_requests = 0
        self.authorize_requests: list[dict[str, str]] = []
        self._clock = clock
        self._key = SigningKey()
        self._grants = Grants(self._settings, clock)
        self._endpoint = TokenEndpoint(
            self._settings,
            self._grants,
            self.faults,
            lambda issued: token_answer(
                issued, issuer=self.issuer, settings=self._settings, key=self._key, now=self._clock()
            ),
        )
        self._listener = Listener(self._app(), port=port, ssl_context=ssl_context)

    async def __aenter__(self) -> Self:
        self.issuer = await self._listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.stop()

    @property
    def settings(self) -> ProviderSettings:
        """How it behaves; its fields may be changed at any time."""
        return self._settings

    @property
    def token_requests(self) -> list[TokenRequest]:
        """Every request at the token endpoint so far, in the order of arrival."""
        return self._endpoint.requests

    def check(self, access_token: str) -> str | None:
        """The user of an access token, None if it is unknown, expired or revoked now."""
        return self._grants.check(access_token)

    def revoke_access_tokens(self) -> None:
        """Revoke every access token so far; the grants live on, so that a refresh mends it."""
        self._grants.revoke_access_tokens()

    def revoke_grants(self) -> None:
        """Revoke everything granted so far."""
        self._grants.revoke_all()

    def rotate_keys(self) -> None:
        """Replace the key that signs ID tokens; the JWKS no longer holds the old one."""
        self._key.rotate()

    def _app(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(colour_answer)
        app.router.add_get("/.well-known/openid-configuration", self._openid_configuration)
        app.router.add_get("/.well-known/oauth-authorization-server", self._oauth_metadata)
        app.router.add_get("/jwks", self._at("jwks", self._jwks))
        app.router.add_get("/authorize", self._at("authorize", self._authorize))
        app.router.add_post("/authorize", self._at("authorize", self._authorize))
        app.router.add_post("/token", self._endpoint.token)
        app.router.add_post("/revoke", self._endpoint.revoke)
        return app

    def _at(
        self, place: str, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self.faults.meet(place, request, functools.partial(handler, request))

        return guarded

    async def _openid_configuration(self, request: web.Request) -> web.StreamResponse:
        return await self._metadata(request, served=self._settings.serve_openid_configuration)

    async def _oauth_metadata(self, request: web.Request) -> web.StreamResponse:
        return await self._metadata(request, served=self._settings.serve_oauth_metadata)

    async def _metadata(self, request: web.Request, *, served: bool) -> web.StreamResponse:
        self.metadata_requests += 1

        async def endpoint() -> web.Response:
            if not served:
                raise web.HTTPNotFound
            return web.json_response(metadata(self.issuer, self._settings))

        return await self.faults.meet("metadata", request, endpoint)

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self._key.jwks())

    async def _authorize(self, request: web.Request) -> web.Response:
        fields = request.query if request.method == hdrs.METH_GET else await request.post()
        params = {key: str(value) for key, value in fields.items()}
        self.authorize_requests.append(params)
        try:
            check_trust(params, self._settings)
        except UntrustedRequestError as error:
            page = f"<!doctype html><title>Cannot sign in</title><p>{html.escape(str(error))}"
            return web.Response(status=400, text=page, content_type="text/html", headers=NO_STORE)
        error_code = error_of(params, self._settings)
        if error_code:
            answer = {"error": error_code}
        else:
            answer = {"code": self._grants.issue_code(code_request(params, self._settings))}
        location = way_back(params, answer, self.issuer, self._settings)
        return web.Response(status=302, headers={**NO_STORE, hdrs.LOCATION: location})

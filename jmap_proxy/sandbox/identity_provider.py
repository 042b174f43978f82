"""The sandbox's identity provider: the place where its parts are put together and get their paths."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from jmap_proxy.sandbox.authorization_endpoint import AuthorizationEndpoint
from jmap_proxy.sandbox.client_authentication import ClientAuthentication
from jmap_proxy.sandbox.clients import Clients
from jmap_proxy.sandbox.device_codes import DeviceCodes
from jmap_proxy.sandbox.device_endpoint import VERIFICATION_PATH, DeviceEndpoint
from jmap_proxy.sandbox.faults import Faults, colour_answer
from jmap_proxy.sandbox.grants import Grants
from jmap_proxy.sandbox.listener import Listener
from jmap_proxy.sandbox.provider_settings import ProviderSettings, metadata
from jmap_proxy.sandbox.pushed_requests import PushedRequests
from jmap_proxy.sandbox.registration import RegistrationEndpoint
from jmap_proxy.sandbox.signing_key import SigningKey
from jmap_proxy.sandbox.token_endpoint import TokenEndpoint, TokenRequest, token_answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class IdentityProvider:
    """An OAuth 2.0 and OpenID Connect provider on loopback, with one client of its own and users who consent.

    Use it as an asynchronous context manager: it serves inside the `async with`.

    Args:
        settings: How it behaves; may be changed while it runs.
        clock: Returns the time in seconds since the epoch.
        port: The port to bind; 0 lets the kernel choose.
        ssl_context: Serves https with this context, http without.

    Attributes:
        issuer: The issuer and origin; empty until it serves.
        faults: Places `metadata`, `jwks`, `authorize`, `token`, `revoke`, `register`, `par`, `device` (where a device
            asks for codes) and `verification` (where its user decides).
        metadata_requests: How often a metadata document was asked for.
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
        self._clock = clock
        self._key = SigningKey()
        self._grants = Grants(self._settings, clock)
        self._clients = Clients(self._settings)
        self._authentication = ClientAuthentication(self._clients, self._audiences, clock)
        self._pushed = PushedRequests(self._settings, self._authentication, self._clients, clock)
        self._authorization = AuthorizationEndpoint(
            self._settings, self._clients, self._pushed, self._grants, lambda: self.issuer
        )
        self._registration = RegistrationEndpoint(
            self._settings, self._clients, self.faults, lambda: self.issuer, clock
        )
        self._device_codes = DeviceCodes(self._settings, clock)
        self._device = DeviceEndpoint(
            self._settings, self._authentication, self._clients, self._device_codes, lambda: self.issuer
        )
        self._endpoint = TokenEndpoint(
            self._settings,
            self._authentication,
            self._grants,
            self._device_codes,
            self.faults,
            lambda issued: token_answer(
                issued, issuer=self.issuer, settings=self._settings, key=self._key, now=self._clock()
            ),
            clock,
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

    @property
    def revocations(self) -> list[TokenRequest]:
        """Every request at the revocation endpoint so far."""
        return self._endpoint.revocations

    @property
    def authorize_requests(self) -> list[dict[str, str]]:
        """The parameters of every authorization request so far."""
        return self._authorization.requests

    @property
    def pushed_requests(self) -> list[dict[str, str]]:
        """The form of every authorization request that was pushed so far."""
        return self._pushed.requests

    @property
    def registrations(self) -> list[dict[str, Any]]:
        """The metadata of every registration that was asked for so far."""
        return self._registration.requests

    @property
    def registered_clients(self) -> list[str]:
        """The ids of the clients that registered and are known."""
        return [known.client.client_id for known in self._clients]

    @property
    def device_requests(self) -> list[dict[str, str]]:
        """The form of every request of a device for codes so far."""
        return self._device.requests

    async def polled(self, times: int = 1) -> None:
        """Wait until so many polls of devices have been answered, from the beginning on."""
        await self._endpoint.polled(times)

    def slow_down(self, polls: int = 1) -> None:
        """Answer that many of the next polls with `slow_down`, however late they come."""
        self._device_codes.slow_downs = polls

    def forget_clients(self) -> None:
        """Do not know any registered client any more, as providers do that clean up; their tokens are left."""
        self._clients.forget()

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
        app.router.add_get("/authorize", self._at("authorize", self._authorization.authorize))
        app.router.add_post("/authorize", self._at("authorize", self._authorization.authorize))
        app.router.add_post("/token", self._endpoint.token)
        app.router.add_post("/revoke", self._endpoint.revoke)
        app.router.add_post("/register", self._registration.register)
        app.router.add_post("/par", self._at("par", self._pushed.push))
        app.router.add_post("/device_authorization", self._at("device", self._device.authorize))
        app.router.add_route("*", VERIFICATION_PATH, self._at("verification", self._device.verify))
        app.router.add_route("GET", "/register/{client_id}", self._registration.configuration)
        app.router.add_route("DELETE", "/register/{client_id}", self._registration.configuration)
        return app

    def _audiences(self) -> list[str]:
        """What a client's assertion may be meant for: RFC 7523 §3, and RFC 9126 §2 for pushed requests."""
        return [self.issuer, f"{self.issuer}/token", f"{self.issuer}/par"]

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

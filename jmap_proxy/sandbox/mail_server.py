"""The sandbox's JMAP mail server: who comes in, what is recorded, and where its parts are put together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from aiohttp import WSCloseCode, hdrs, web

from jmap_proxy.sandbox.faults import CLIENT_GONE, Faults, colour_answer
from jmap_proxy.sandbox.listener import Listener
from jmap_proxy.sandbox.mail_endpoints import PROBLEM, MailEndpoints, Target, Visit, target_of
from jmap_proxy.sandbox.session_object import ORIGIN, MailSettings, account_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from multidict import CIMultiDictProxy

    from jmap_proxy.sandbox.state_changes import Changed

_UNAUTHORIZED_PAGE = "<!doctype html><title>401</title><h1>Unauthorized</h1><p>The sandbox wants a valid token."
_UNAUTHORIZED_PROBLEM = {"type": "about:blank", "status": 401, "title": "Unauthorized"}
_PAGE = "<!doctype html><title>Welcome</title><h1>It works!</h1>"
_PUBLIC = frozenset({"resource", "webfinger"})
"""Places that tell everybody how to sign in, at the host's root whatever the mount."""
DEMO = "demo"
"""Whose mail it is."""
_FAULT_PLACES = {"well-known": "session"}
"""Endpoints whose fault place has another name than they have."""


@dataclass
class MailRequest:
    """One request at the mail server, as a test wants to see it.

    Attributes:
        method: HTTP method.
        raw_path: Path and query exactly as received.
        headers: As received.
        token: The bearer token, empty if none.
        status: The answer's status; 0 while there is none, and for good if the client left before.
    """

    method: str
    raw_path: str = field(repr=False)
    headers: CIMultiDictProxy[str] = field(repr=False)
    token: str = field(repr=False)
    status: int = 0


class MailServer:
    """A JMAP mail server on loopback that takes nothing but bearer tokens.

    Use it as an asynchronous context manager: it serves inside the `async with`.

    Args:
        check_token: Returns the user of a token, None if the token is not good now.
        settings: How it behaves; may be changed while it runs.
        port: The port to bind; 0 lets the kernel choose.
        ssl_context: Serves https with this context, http without.

    Attributes:
        base_url: The origin; empty until it serves.
        hosts: Origins of the further hosts that its settings name, by name.
        faults: Places `session`, `api`, `upload`, `download`, `events` and `websocket`, and those of `Target`.
        requests: Every request so far, in the order of arrival.
        refused_tokens: Tokens that are refused though they may be alive.
        refuse_all: Refuse every token.
    """

    def __init__(
        self,
        check_token: Callable[[str], str | None],
        *,
        settings: MailSettings | None = None,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.base_url = ""
        self.hosts: dict[str, str] = {}
        self._settings = settings or MailSettings()
        self.faults = Faults()
        self.requests: list[MailRequest] = []
        self.refused_tokens: set[str] = set()
        self.refuse_all = False
        self._check_token = check_token
        self._endpoints = MailEndpoints(self._settings)
        self._ssl_context = ssl_context
        self._listener = self._listening(port)

    async def __aenter__(self) -> Self:
        self.base_url = self._endpoints.base_url = await self._listener.start()
        for name in sorted(set(self._settings.hosts.values())):
            self.hosts[name] = self._endpoints.hosts[name] = await self._listener.start_another()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.stop()

    @property
    def settings(self) -> MailSettings:
        """How it behaves; its fields may be changed at any time."""
        return self._settings

    @property
    def session_url(self) -> str:
        """Where the Session is found (RFC 8620 §2.2)."""
        return f"{self.base_url}{self._settings.mount}/.well-known/jmap"

    @property
    def uploads(self) -> dict[str, tuple[int, str]]:
        """Every upload's size in octets and SHA-256 in hexadecimal, by blob id."""
        return self._endpoints.blobs.uploads

    @property
    def streams(self) -> int:
        """How many event sources are open now."""
        return len(self._endpoints.event_sources)

    @property
    def sockets(self) -> int:
        """How many WebSockets are open now."""
        return len(self._endpoints.sockets)

    async def close_sockets(self, code: int) -> None:
        """Close all WebSockets with a close code (RFC 6455 §7.4), as servers do with 1008 when a token has expired."""
        for socket in list(self._endpoints.sockets):
            await socket.close(code)

    def push_state(self, changed: Changed | None = None) -> None:
        """Tell event sources and WebSockets of a change.

        Args:
            changed: New states by account id and data type; without it, something in the demo user's mail.
        """
        latest = self._endpoints.state_changes.latest
        state = f"s{latest.number + 2 if latest else 2}"
        self._endpoints.state_changes.publish(changed or {account_of(DEMO): {"Email": state, "Mailbox": state}})

    def end_streams(self) -> None:
        """End the event sources cleanly, as a server does that has been idle for long."""
        for source in list(self._endpoints.event_sources):
            source.end()

    def drop_streams(self) -> None:
        """Drop the event sources' connections without a word."""
        for source in list(self._endpoints.event_sources):
            source.drop()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Be away while the context is open, then serve again on the same port; what was stored is kept."""
        await self._listener.stop()
        try:
            yield
        finally:
            port = int(self.base_url.rpartition(":")[2])
            self._listener = self._listening(port)
            await self._listener.start()
            for origin in self.hosts.values():
                await self._listener.start_another(int(origin.rpartition(":")[2]))

    def _listening(self, port: int) -> Listener:
        return Listener(self._app(), port=port, ssl_context=self._ssl_context, cancel_on_disconnect=True)

    def _app(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(self._dress_answer)
        app.on_response_prepare.append(colour_answer)
        app.on_shutdown.append(self._end_streams)
        app.router.add_route(hdrs.METH_ANY, "/{path:.*}", self._handle)
        return app

    async def _end_streams(self, _app: web.Application) -> None:
        self._endpoints.state_changes.close()
        await self.close_sockets(WSCloseCode.GOING_AWAY)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Record a request and answer it."""
        record = MailRequest(request.method, request.raw_path, request.headers, bearer_token(request.headers))
        self.requests.append(record)
        try:
            response = await self._answer(request, record.token)
        except web.HTTPException as answer:
            record.status = answer.status
            raise
        except ConnectionError:  # the client left in the middle of a streamed answer
            return web.Response(status=CLIENT_GONE)
        record.status = response.status
        return response

    async def _dress_answer(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put what the shape has on every answer into this one's head."""
        if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            response.headers.update(self._settings.headers)
        compressed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        if self._settings.mislabels_events and compressed and response.content_type == "text/event-stream":
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"

    def _target_of(self, request: web.Request) -> Target | None:
        """What a request means, None for what is not there, or at another host."""
        mount = self._settings.mount
        target = target_of(request.raw_path.removeprefix(mount), request.method)
        if target is None or not (request.raw_path.startswith(f"{mount}/") or target.place in _PUBLIC):
            return None
        host = self.hosts.get(self._settings.hosts.get(target.place, ""), self.base_url)
        return target if not self.hosts or host.endswith(f"//{request.host}") else None

    async def _answer(self, request: web.Request, token: str) -> web.StreamResponse:
        if self._settings.only_pages:
            return web.Response(text=_PAGE, content_type="text/html")
        target = self._target_of(request)
        if target is None:
            raise web.HTTPNotFound
        if request.method != target.method:
            raise web.HTTPMethodNotAllowed(request.method, [target.method])

        async def endpoint() -> web.StreamResponse:
            user = self._user_of(request, target, token)
            if user is None:
                return self._unauthorized()

            def welcome() -> bool:
                return self._user_of(request, target, token) == user

            return await self._endpoints.answer(Visit(target, request, user, welcome))

        return await self.faults.meet(_FAULT_PLACES.get(target.place, target.place), request, endpoint)

    def _user_of(self, request: web.Request, target: Target, token: str) -> str | None:
        """Whose request it is, empty for nobody's where that is allowed, None to refuse it."""
        if target.place in _PUBLIC:
            return ""
        wants_session = target.place in {"session", "well-known"}
        if wants_session and self._settings.anonymous_session and hdrs.AUTHORIZATION not in request.headers:
            return ""
        refused = not token or self.refuse_all or token in self.refused_tokens
        user = None if refused else self._check_token(token)
        return DEMO if user is None and self._settings.open_session else user

    def _unauthorized(self) -> web.Response:
        """Refuse: with challenges, and as a problem or, like many a gateway, with a page that no client can read."""
        response = web.Response(status=HTTPStatus.UNAUTHORIZED, text=_UNAUTHORIZED_PAGE, content_type="text/html")
        if self._settings.refusal == "problem":
            response = web.json_response(_UNAUTHORIZED_PROBLEM, status=HTTPStatus.UNAUTHORIZED, content_type=PROBLEM)
        for challenge in self._settings.challenges:
            response.headers.add(hdrs.WWW_AUTHENTICATE, challenge.replace(ORIGIN, self.base_url))
        return response


def bearer_token(headers: CIMultiDictProxy[str]) -> str:
    """The bearer token (RFC 6750 §2.1), empty unless exactly one `Authorization` header holds one."""
    values = headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""

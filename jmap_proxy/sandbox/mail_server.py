"""The sandbox's JMAP mail server: who comes in, what is recorded, and where its parts are put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import WSCloseCode, hdrs, web

from jmap_proxy.sandbox.faults import CLIENT_GONE, Faults, colour_answer
from jmap_proxy.sandbox.listener import Listener
from jmap_proxy.sandbox.mail_endpoints import MailEndpoints, Target, Visit, target_of
from jmap_proxy.sandbox.session_object import MailSettings, account_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from multidict import CIMultiDictProxy

    from jmap_proxy.sandbox.state_changes import Changed

_CHALLENGE = 'Bearer realm="sandbox", error="invalid_token"'
_UNAUTHORIZED_PAGE = "<!doctype html><title>401</title><h1>Unauthorized</h1><p>The sandbox wants a valid token."
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
        faults: Places `session`, `api`, `upload`, `download`, `events` and `websocket`.
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
        self._settings = settings or MailSettings()
        self.faults = Faults()
        self.requests: list[MailRequest] = []
        self.refused_tokens: set[str] = set()
        self.refuse_all = False
        self._check_token = check_token
        self._endpoints = MailEndpoints(self._settings)
        self._listener = Listener(self._app(), port=port, ssl_context=ssl_context, cancel_on_disconnect=True)

    async def __aenter__(self) -> Self:
        self.base_url = self._endpoints.base_url = await self._listener.start()
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
        return f"{self.base_url}/.well-known/jmap"

    @property
    def uploads(self) -> dict[str, tuple[int, str]]:
        """Every upload's size in octets and SHA-256 in hexadecimal, by blob id."""
        return self._endpoints.blobs.uploads

    @property
    def streams(self) -> int:
        """How many event sources are open now."""
        return self._endpoints.streams

    @property
    def sockets(self) -> int:
        """How many WebSockets are open now."""
        return len(self._endpoints.sockets)

    def push_state(self, changed: Changed | None = None) -> None:
        """Tell event sources and WebSockets of a change.

        Args:
            changed: New states by account id and data type; without it, something in the demo user's mail.
        """
        latest = self._endpoints.state_changes.latest
        state = f"s{latest.number + 2 if latest else 2}"
        self._endpoints.state_changes.publish(changed or {account_of("demo"): {"Email": state, "Mailbox": state}})

    def _app(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(colour_answer)
        app.on_shutdown.append(self._end_streams)
        app.router.add_route(hdrs.METH_ANY, "/{path:.*}", self._handle)
        return app

    async def _end_streams(self, _app: web.Application) -> None:
        self._endpoints.state_changes.close()
        for socket in list(self._endpoints.sockets):
            await socket.close(WSCloseCode.GOING_AWAY)

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

    async def _answer(self, request: web.Request, token: str) -> web.StreamResponse:
        target = target_of(request.raw_path)
        if target is None:
            raise web.HTTPNotFound
        if request.method != target.method:
            raise web.HTTPMethodNotAllowed(request.method, [target.method])

        async def endpoint() -> web.StreamResponse:
            user = self._user_of(request, target, token)
            if user is None:
                return _unauthorized()
            return await self._endpoints.answer(Visit(target, request, user))

        return await self.faults.meet(_FAULT_PLACES.get(target.place, target.place), request, endpoint)

    def _user_of(self, request: web.Request, target: Target, token: str) -> str | None:
        """Whose request it is, empty for nobody's where that is allowed, None to refuse it."""
        wants_session = target.place in {"session", "well-known"}
        if wants_session and self._settings.anonymous_session and hdrs.AUTHORIZATION not in request.headers:
            return ""
        if not token or self.refuse_all or token in self.refused_tokens:
            return None
        return self._check_token(token)


def bearer_token(headers: CIMultiDictProxy[str]) -> str:
    """The bearer token (RFC 6750 §2.1), empty unless exactly one `Authorization` header holds one."""
    values = headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _unauthorized() -> web.Response:
    """Refuse as many a gateway does: a challenge, and a page that no JMAP client can read."""
    return web.Response(
        status=401,
        text=_UNAUTHORIZED_PAGE,
        content_type="text/html",
        headers={hdrs.WWW_AUTHENTICATE: _CHALLENGE},
    )

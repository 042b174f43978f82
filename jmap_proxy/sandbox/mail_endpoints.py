"""The mail server's endpoints: which one a path means, and what it answers (RFC 8620 §2, §3, §6, §7).

Only requests that have been let in come here; who may come in is decided in `mail_server`.
"""

from __future__ import annotations

import io
import uuid
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import hdrs, web

from jmap_proxy.sandbox.blobs import Blobs, TooLargeError
from jmap_proxy.sandbox.faults import close, fault_of
from jmap_proxy.sandbox.jmap_methods import Mail
from jmap_proxy.sandbox.jmap_request import RequestRefusedError, answered, parsed
from jmap_proxy.sandbox.messages import messages
from jmap_proxy.sandbox.session_object import ORIGIN, MailSettings, account_of, session_object
from jmap_proxy.sandbox.state_changes import EventSource, StateChanges
from jmap_proxy.sandbox.websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

PROBLEM = "application/problem+json"
RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
ISSUER_RELATION = "http://openid.net/specs/connect/1.0/issuer"
_SESSION_HEADERS = {hdrs.CACHE_CONTROL: "no-cache, no-store, must-revalidate"}
_BLOB_HEADERS = {hdrs.CACHE_CONTROL: "private, immutable, max-age=31536000"}
_OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Target:
    """An endpoint and what the path says.

    Attributes:
        place: `well-known`, `session`, `resource`, `webfinger`, `api`, `upload`, `upload2`, `download`,
            `download-all`, `events`, `websocket` or `ticket`.
        method: The one HTTP method of the endpoint.
        account_id: For uploads and downloads.
        blob_id: For downloads.
        named: The email of a `download-all`, the ticket to revoke.
    """

    place: str
    method: str = hdrs.METH_GET
    account_id: str = ""
    blob_id: str = ""
    named: str = ""


_FIXED = {
    "/.well-known/jmap": Target("well-known"),
    RESOURCE_METADATA: Target("resource"),
    "/.well-known/webfinger": Target("webfinger"),
    "/session": Target("session"),
    "/api": Target("api", hdrs.METH_POST),
    "/event": Target("events"),
    "/events": Target("events"),
    "/eventSource": Target("events"),
    "/eventsource": Target("events"),
    "/ws": Target("websocket"),
    "/ws/ticket": Target("ticket", hdrs.METH_POST),
}
"""Where servers have their endpoints, with or without `/jmap` before it."""


def target_of(raw_path: str, method: str = hdrs.METH_POST) -> Target | None:
    """The endpoint of a raw path, None if there is none. A slash at the end makes no difference.

    Args:
        raw_path: Path and query.
        method: Of the request; only at `/jmap/` does it matter, where Cyrus and James have both API and Session.
    """
    path = raw_path.partition("?")[0]
    if path in {"/jmap", "/jmap/"}:
        return Target("session") if method == hdrs.METH_GET else Target("api", hdrs.METH_POST)
    path = path.removeprefix("/jmap")
    match [unquote(segment) for segment in path.split("/")]:
        case ["", "upload" | "upload2" as place, account_id] | ["", "upload" | "upload2" as place, account_id, ""]:
            return Target(place, hdrs.METH_POST, account_id)
        case ["", "download", account_id, blob_id, *_]:
            return Target("download", hdrs.METH_GET, account_id, blob_id)
        case ["", "downloadAll", account_id, email_id]:
            return Target("download-all", hdrs.METH_GET, account_id, named=email_id)
        case ["", ".well-known", "oauth-protected-resource", *_]:  # with the resource's path or not (RFC 9728 §3.1)
            path = RESOURCE_METADATA
        case ["", "ws", "ticket", ticket] if ticket:
            return Target("ticket", hdrs.METH_DELETE, named=ticket)
    return _FIXED.get(path.removesuffix("/"))


@dataclass(frozen=True)
class Visit:
    """A request, which endpoint it means, and whose it is.

    Attributes:
        user: Empty for nobody's.
        welcome: Whether the request would be let in now, too.
    """

    target: Target
    request: web.Request
    user: str
    welcome: Callable[[], bool]


class MailEndpoints:
    """The endpoints of one mail server.

    Args:
        settings: How it behaves, read anew at each request.

    Attributes:
        base_url: The server's origin; set once it is known.
        hosts: Origins of its further hosts, by name; set once they are known.
        blobs: What was uploaded.
        state_changes: Where event sources and WebSockets hear of changes.
        sockets: The WebSockets that are open.
        event_sources: The event sources that are open.
    """

    def __init__(self, settings: MailSettings) -> None:
        self.base_url = ""
        self.hosts: dict[str, str] = {}
        self.blobs = Blobs()
        self.state_changes = StateChanges()
        self.sockets: set[WebSocket] = set()
        self.event_sources: set[EventSource] = set()
        self._settings = settings
        self._tickets: set[str] = set()
        self._by_place: dict[str, Callable[[Visit], Awaitable[web.StreamResponse]]] = {
            "well-known": self._well_known,
            "session": self._session_page,
            "resource": self._resource,
            "webfinger": self._webfinger,
            "api": self._api,
            "upload": self._upload,
            "upload2": self._upload,
            "download": self._download,
            "download-all": self._download_all,
            "ticket": self._ticket,
            "events": self._events,
            "websocket": self._websocket,
        }

    async def answer(self, visit: Visit) -> web.StreamResponse:
        """Answer a request; `ConnectionError` means that the client left in the middle of the answer."""
        return await self._by_place[visit.target.place](visit)

    async def _well_known(self, visit: Visit) -> web.Response:
        if self._settings.well_known == "redirect":
            return web.Response(status=307, headers={hdrs.LOCATION: "/jmap/session"})
        if self._settings.well_known == "moved":
            location = f"{visit.request.scheme}://{visit.request.host}/jmap/"
            return web.Response(status=301, headers={hdrs.LOCATION: location})
        return await self._session_page(visit)

    async def _session_page(self, visit: Visit) -> web.Response:
        return web.json_response(self._session(visit.user), headers=_SESSION_HEADERS)

    def _session(self, user: str) -> dict[str, Any]:
        return session_object(user, self.base_url, self._settings, self.hosts)

    async def _resource(self, _visit: Visit) -> web.Response:
        """The metadata of RFC 9728; `resource` is the origin, whatever the Session's URL, or what the settings say."""
        if self._settings.protected_resource is None:
            raise web.HTTPNotFound
        metadata = {"resource": ORIGIN, **self._settings.protected_resource}
        if isinstance(metadata["resource"], str):
            metadata["resource"] = metadata["resource"].replace(ORIGIN, self.base_url)
        return web.json_response(metadata)

    async def _webfinger(self, visit: Visit) -> web.Response:
        """Everybody's issuer (RFC 7033 §4, OpenID Connect Discovery 1.0 §2)."""
        if not self._settings.webfinger_issuer:
            raise web.HTTPNotFound
        query = visit.request.query
        if not query.get("resource"):
            raise web.HTTPBadRequest
        asked = query.getall("rel", [ISSUER_RELATION])
        link = {"rel": ISSUER_RELATION, "href": self._settings.webfinger_issuer}
        answer = {"subject": query["resource"], "links": [link] if ISSUER_RELATION in asked else []}
        return web.json_response(answer, content_type="application/jrd+json")

    def _answered(self, body: Any, user: str) -> dict[str, Any]:
        mail = Mail(account_of(user), self._settings.message_count)
        return answered(body, mail, self._session(user)["state"])

    async def _api(self, visit: Visit) -> web.Response:
        try:
            body = await self._read(visit.request)
            if visit.request.content_type != "application/json":
                raise RequestRefusedError("notJSON", "the content type is not application/json")  # noqa: TRY301
            return web.json_response(self._answered(parsed(body), visit.user))
        except RequestRefusedError as error:
            return problem(error)

    async def _read(self, request: web.Request) -> bytes:
        limit, body = self._settings.max_size_request, bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise RequestRefusedError("limit", f"more than {limit} octets", limit="maxSizeRequest")
        return bytes(body)

    async def _upload(self, visit: Visit) -> web.Response:
        request, limit = visit.request, self._settings.max_size_upload
        try:
            if (request.content_length or 0) > limit:
                raise TooLargeError  # noqa: TRY301 - one way out
            blob_id, size = await self.blobs.put(request.content.iter_any(), limit)
        except TooLargeError:
            detail = f"more than {limit} octets"
            return problem(RequestRefusedError("limit", detail, limit="maxSizeUpload", status=413))
        kind = request.headers.get(hdrs.CONTENT_TYPE, _OCTETS)
        body = {"accountId": visit.target.account_id, "blobId": blob_id, "type": kind, "size": size}
        return web.json_response(body, status=201)

    async def _download(self, visit: Visit) -> web.StreamResponse:
        blob = self.blobs.get(visit.target.blob_id, self._settings.message_count)
        if blob is None:
            raise web.HTTPNotFound
        size, chunks = blob
        request = visit.request
        kind = request.query.get("accept") or request.query.get("type") or _OCTETS
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: kind, **_BLOB_HEADERS})
        response.content_length = size
        await response.prepare(request)
        fault = fault_of(request)
        if fault is None or fault.cut_after is None:
            await _write(response, chunks)
        else:
            await _write(response, _first(fault.cut_after, chunks))
            close(request)
        return response

    async def _download_all(self, visit: Visit) -> web.Response:
        """An email's attachments in a zip file; here, the email itself."""
        mail = {message.id: message for message in messages(self._settings.message_count)}
        if visit.target.named not in mail:
            raise web.HTTPNotFound
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("message.eml", mail[visit.target.named].rfc5322())
        return web.Response(body=archive.getvalue(), content_type="application/zip")

    async def _ticket(self, visit: Visit) -> web.Response:
        """Give a ticket, or take it back."""
        if visit.target.named:
            if visit.target.named not in self._tickets:
                raise web.HTTPNotFound
            self._tickets.discard(visit.target.named)
            return web.Response(status=204)
        ticket = str(uuid.uuid4())
        self._tickets.add(ticket)
        return web.json_response({"value": ticket, "username": visit.user})

    async def _events(self, visit: Visit) -> web.StreamResponse:
        source = EventSource(visit.request, self.state_changes, visit.welcome)
        self.event_sources.add(source)
        try:
            return await source.serve()
        finally:
            self.event_sources.discard(source)

    async def _websocket(self, visit: Visit) -> web.StreamResponse:
        socket = WebSocket(
            lambda body: self._answered(body, visit.user), self.state_changes, self._settings.max_size_request
        )
        self.sockets.add(socket)
        try:
            return await socket.serve(visit.request)
        finally:
            self.sockets.discard(socket)


def problem(error: RequestRefusedError) -> web.Response:
    """A request-level error as an answer (RFC 8620 §3.6.1, RFC 9457)."""
    return web.json_response(error.problem, status=error.status, content_type=PROBLEM)


async def _write(response: web.StreamResponse, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        await response.write(chunk)


def _first(size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the first octets of what the chunks hold."""
    for chunk in chunks:
        if size <= 0:
            return
        yield chunk[:size]
        size -= len(chunk)

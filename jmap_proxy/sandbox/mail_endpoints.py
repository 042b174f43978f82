"""The mail server's endpoints: which one a path means, and what it answers (RFC 8620 §2, §3, §6, §7).

Only requests that have been let in come here; who may come in is decided in `mail_server`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import hdrs, web

from jmap_proxy.sandbox.blobs import Blobs, TooLargeError
from jmap_proxy.sandbox.faults import close, fault_of
from jmap_proxy.sandbox.jmap_methods import Mail
from jmap_proxy.sandbox.jmap_request import RequestRefusedError, answered, parsed
from jmap_proxy.sandbox.session_object import MailSettings, account_of, session_object
from jmap_proxy.sandbox.state_changes import StateChanges, stream_events
from jmap_proxy.sandbox.websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

PROBLEM = "application/problem+json"
_SESSION_HEADERS = {hdrs.CACHE_CONTROL: "no-cache, no-store, must-revalidate"}
_BLOB_HEADERS = {hdrs.CACHE_CONTROL: "private, immutable, max-age=31536000"}
_OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Target:
    """An endpoint and what the path says.

    Attributes:
        place: `well-known`, `session`, `api`, `upload`, `download`, `events` or `websocket`.
        method: The one HTTP method of the endpoint.
        account_id: For uploads and downloads.
        blob_id: For downloads.
    """

    place: str
    method: str = hdrs.METH_GET
    account_id: str = ""
    blob_id: str = ""


_FIXED = {
    "/.well-known/jmap": Target("well-known"),
    "/jmap/session": Target("session"),
    "/jmap/api": Target("api", hdrs.METH_POST),
    "/jmap/events": Target("events"),
    "/jmap/ws": Target("websocket"),
}


def target_of(raw_path: str) -> Target | None:
    """The endpoint of a raw path, None if there is none. A slash at the end makes no difference."""
    path = raw_path.partition("?")[0]
    match [unquote(segment) for segment in path.split("/")]:
        case ["", "jmap", "upload", account_id] | ["", "jmap", "upload", account_id, ""]:
            return Target("upload", hdrs.METH_POST, account_id)
        case ["", "jmap", "download", account_id, blob_id, *_]:
            return Target("download", hdrs.METH_GET, account_id, blob_id)
        case _:
            return _FIXED.get(path.removesuffix("/"))


@dataclass(frozen=True)
class Visit:
    """A request, which endpoint it means, and whose it is; `user` is empty for nobody's."""

    target: Target
    request: web.Request
    user: str


class MailEndpoints:
    """The endpoints of one mail server.

    Args:
        settings: How it behaves, read anew at each request.

    Attributes:
        base_url: The server's origin; set once it is known.
        blobs: What was uploaded.
        state_changes: Where event sources and WebSockets hear of changes.
        sockets: The WebSockets that are open.
        streams: How many event sources are open.
    """

    def __init__(self, settings: MailSettings) -> None:
        self.base_url = ""
        self.blobs = Blobs()
        self.state_changes = StateChanges()
        self.sockets: set[WebSocket] = set()
        self.streams = 0
        self._settings = settings
        self._by_place: dict[str, Callable[[Visit], Awaitable[web.StreamResponse]]] = {
            "well-known": self._well_known,
            "session": self._session_page,
            "api": self._api,
            "upload": self._upload,
            "download": self._download,
            "events": self._events,
            "websocket": self._websocket,
        }

    async def answer(self, visit: Visit) -> web.StreamResponse:
        """Answer a request; `ConnectionError` means that the client left in the middle of the answer."""
        return await self._by_place[visit.target.place](visit)

    async def _well_known(self, visit: Visit) -> web.Response:
        if self._settings.well_known == "redirect":
            return web.Response(status=307, headers={hdrs.LOCATION: "/jmap/session"})
        return await self._session_page(visit)

    async def _session_page(self, visit: Visit) -> web.Response:
        return web.json_response(self._session(visit.user), headers=_SESSION_HEADERS)

    def _session(self, user: str) -> dict[str, Any]:
        return session_object(user, self.base_url, self._settings)

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
        kind = request.query.get("accept") or _OCTETS
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

    async def _events(self, visit: Visit) -> web.StreamResponse:
        self.streams += 1
        try:
            return await stream_events(visit.request, self.state_changes)
        finally:
            self.streams -= 1

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

"""/healthz, /readyz and /metrics on the admin listener, and the pages that are added. Holds no secret."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import structlog
from aiohttp import web

from jmap_proxy.errors import JmapProxyError, MethodRefused, NotAnEndpoint
from jmap_proxy.proxy.door.door import check_sender
from jmap_proxy.proxy.wire.headers import SAFE_FOR_BROWSERS
from jmap_proxy.proxy.wire.problem import problem_response
from jmap_proxy.status.metrics import CONTENT_TYPE, metrics_text
from jmap_proxy.tokens.report import State, TokenReport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jmap_proxy.status.traffic import Traffic

USABLE = frozenset({State.OK, State.UNSAVED, State.RETRYING, State.CLIENT_REFUSED})
READ = frozenset({"GET", "HEAD"})

log = structlog.get_logger("jmap_proxy.status")


def readiness(reports: Mapping[str, TokenReport], now: float) -> tuple[bool, dict[str, Any]]:
    """Whether all accounts can be used, and how each is doing. Pure.

    Args:
        reports: By account.
        now: Epoch seconds; an account that is retrying is usable while its token lives.
    """
    ready = True
    for report in reports.values():
        alive = report.expires_at is not None and now < report.expires_at
        ready = ready and (report.state is State.OK or (report.state in USABLE and alive))
    return ready, {"status": "ready" if ready else "not ready", "accounts": reports}


class Page(NamedTuple):
    """What is at a path of the admin listener.

    Attributes:
        methods: Those that it takes.
        answer: Answers a request; who sent it has been checked before. Raises JmapProxyError.
    """

    methods: frozenset[str]
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

    @property
    def takes_forms(self) -> bool:
        """Whether pages of this listener's own origin may send something here; nobody else's ever may."""
        return "POST" in self.methods


class AdminHandler:
    """Answers the admin listener's requests.

    Args:
        reports: How the accounts are doing now.
        clock: Epoch seconds.
        traffic: What has gone through the proxy.
        streams: How many streams are open, by account and kind.
        more: Further pages, by path.
    """

    def __init__(
        self,
        reports: Callable[[], Mapping[str, TokenReport]],
        clock: Callable[[], float],
        traffic: Traffic,
        streams: Callable[[], Mapping[tuple[str, str], int]],
        more: Mapping[str, Page] | None = None,
    ) -> None:
        self._reports = reports
        self._clock = clock
        self._traffic = traffic
        self._streams = streams
        self._pages = {
            "/healthz": Page(READ, self._health),
            "/readyz": Page(READ, self._readiness),
            "/metrics": Page(READ, self._metrics),
            **(more or {}),
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            page = self._pages.get(request.path)
            check_sender(request, web_origins=_own_origin(request) if page and page.takes_forms else frozenset())
            if page is None:
                raise NotAnEndpoint(f"there is only {', '.join(self._pages)} here")
            if request.method not in page.methods:
                raise MethodRefused(request.method, page.methods)
            return await page.answer(request)
        except JmapProxyError as error:
            log.info("refused", code=error.code, detail=error.detail)
            return problem_response(error)

    async def _health(self, _request: web.BaseRequest) -> web.Response:
        return _json(HTTPStatus.OK, {"status": "ok"})

    async def _readiness(self, _request: web.BaseRequest) -> web.Response:
        ready, told = readiness(self._reports(), self._clock())
        return _json(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, told)

    async def _metrics(self, _request: web.BaseRequest) -> web.Response:
        text = metrics_text(self._reports(), self._traffic, self._streams(), self._clock())
        return _plain(text, CONTENT_TYPE)


def _own_origin(request: web.BaseRequest) -> frozenset[str]:
    """The origin of the pages that are shown here, as browsers write it; the Host is checked besides.

    A page can neither choose the Origin that its browser sends, nor a Host that is not where it sends to.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return frozenset()
    return frozenset({f"{request.scheme}://{request.headers.get('Host', '').lower()}"})


def _plain(body: bytes, content_type: str) -> web.Response:
    headers = {"Content-Type": content_type, "Cache-Control": "no-store", **dict(SAFE_FOR_BROWSERS)}
    return web.Response(body=body, headers=headers)


def _json(status: int, content: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **dict(SAFE_FOR_BROWSERS)},
    )

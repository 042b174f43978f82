"""/healthz, /readyz and /metrics on the admin listener. Holds no secret and takes no orders."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from jmap_proxy.errors import JmapProxyError, MethodRefused, NotAnEndpoint
from jmap_proxy.proxy.door.door import check_sender
from jmap_proxy.proxy.wire.headers import SAFE_FOR_BROWSERS
from jmap_proxy.proxy.wire.problem import problem_response
from jmap_proxy.status.metrics import CONTENT_TYPE, metrics_text
from jmap_proxy.tokens.report import State, TokenReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USABLE = frozenset({State.OK, State.UNSAVED, State.RETRYING, State.CLIENT_REFUSED})
READ = frozenset({"GET", "HEAD"})


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


class AdminHandler:
    """Answers the admin listener's requests.

    Args:
        reports: How the accounts are doing now.
        clock: Epoch seconds.
    """

    def __init__(self, reports: Callable[[], Mapping[str, TokenReport]], clock: Callable[[], float]) -> None:
        self._reports = reports
        self._clock = clock

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return self._answer(request)
        except JmapProxyError as error:
            return problem_response(error)

    def _answer(self, request: web.BaseRequest) -> web.Response:
        check_sender(request)
        if request.path not in ("/healthz", "/readyz", "/metrics"):
            raise NotAnEndpoint("there is only /healthz, /readyz and /metrics here")
        if request.method not in READ:
            raise MethodRefused(request.method, READ)
        if request.path == "/healthz":
            return _json(HTTPStatus.OK, {"status": "ok"})
        if request.path == "/metrics":
            return _plain(metrics_text(self._reports(), self._clock()), CONTENT_TYPE)
        ready, told = readiness(self._reports(), self._clock())
        return _json(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, told)


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

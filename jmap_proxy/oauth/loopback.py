"""The loopback redirect (RFC 8252 §7.3): a small HTTP listener that waits for the browser to come back."""

from __future__ import annotations

import asyncio
import contextlib
import html
import logging
from typing import TYPE_CHECKING, Self

from aiohttp import web

from jmap_proxy.errors import JmapProxyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    Parameters = Mapping[str, list[str]]

CALLBACK = "/callback"
CLOSE = "You can close this tab."

LONGEST_LINE = 32 << 10
"""Bytes of a request line; the codes of some providers are signed tokens of several thousand."""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>jmap-proxy</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font:1.1rem/1.5 system-ui;max-width:32rem;margin:15vh auto;padding:0 1rem}}</style>
<main><h1>{title}</h1>{text}</main></html>"""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


_silent = logging.getLogger("jmap_proxy.loopback")
_silent.disabled = True  # aiohttp logs a malformed request with its bytes, which can hold the code


class LoopbackRedirect:
    """Listens on 127.0.0.1, on a port that the kernel chooses, while the context is open; where it can also on ::1.

    A provider may send the browser to `localhost` instead, which can mean either (RFC 8252 §8.3).

    Args:
        belongs: Whether the query parameters of a visit belong to this sign-in; others are answered and forgotten.
        judge: Turns the parameters into the code; its exception is what `wait` raises and the page tells.
    """

    def __init__(self, belongs: Callable[[Parameters], bool], judge: Callable[[Parameters], str]) -> None:
        self._belongs = belongs
        self._judge = judge
        self._result: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._runner = web.ServerRunner(
            web.Server(self._visit, access_log=None, logger=_silent, max_line_size=LONGEST_LINE),
            shutdown_timeout=1.0,
            handle_signals=False,
        )
        self.redirect_uri = ""

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        with contextlib.suppress(OSError):  # there is no IPv6, or the port is taken there
            await web.TCPSite(self._runner, "::1", port).start()
        self.redirect_uri = f"http://127.0.0.1:{port}{CALLBACK}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._result.done() and not self._result.cancelled():
            self._result.exception()  # seen, also where nobody waited for it
        await self._runner.cleanup()

    async def wait(self) -> str:
        """The authorization code. Raises what `judge` raised."""
        return await self._result

    def take(self, parameters: Parameters) -> Exception | None:
        """End the wait by the parameters of a redirect that belongs to it; why that is no success, None if it is."""
        if self._result.done():
            return None
        try:
            self._result.set_result(self._judge(parameters))
        except Exception as error:  # noqa: BLE001 - handed to the waiter, whatever it is
            self._result.set_exception(error)
            return error
        return None

    async def _visit(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != CALLBACK or request.method != "GET":
            return _page(404, "Nothing here", "This port only waits for a sign-in to come back.")
        parameters = {name: request.query.getall(name) for name in request.query}
        if self._result.done() or not self._belongs(parameters):
            return _page(400, "Not this sign-in", "This answer does not belong to the sign-in under way.")
        error = self.take(parameters)
        if error is not None:
            mend = f"What helps: {error.hint}." if isinstance(error, JmapProxyError) and error.hint else ""
            return _page(400, "The sign-in did not succeed", f"{str(error)[:1].upper()}{str(error)[1:]}.", mend, CLOSE)
        return _page(200, "Back from the sign-in", "The rest is told where it was begun.", CLOSE)


def _page(status: int, title: str, *paragraphs: str) -> web.Response:
    text = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs if paragraph)
    body = _PAGE.format(title=html.escape(title), text=text)
    page = web.Response(status=status, text=body, content_type="text/html", headers=_HEADERS)
    page.force_close()
    return page

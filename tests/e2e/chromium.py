"""Debian's Chromium without a window, and a server for the pages that it is shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import aiohttp
from aiohttp import web

from tests.e2e.program import Program
from tests.e2e.tab import Tab

if TYPE_CHECKING:
    from types import TracebackType

_PAGES = Path(__file__).with_name("pages")
_PATIENCE = 60.0


class Chromium:
    """A browser with a profile of its own; `*.example` is this machine, as a rebound name would be.

    Args:
        folder: For its profile and what it says.
    """

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "profile"
        self._port_file = self._profile / "DevToolsActivePort"
        self._devtools = ""
        arguments = [
            "--headless=new",
            "--no-sandbox",  # it runs as root here
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-popup-blocking",  # a page could wait for a click
            "--no-first-run",
            "--host-resolver-rules=MAP *.example 127.0.0.1",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._profile}",
            "about:blank",
        ]
        self.program = Program("chromium", ["chromium", *arguments], folder)

    def __enter__(self) -> Self:
        self.program.start()
        try:
            port = self.program.until(self._port, "the port of its tools")
        except BaseException:
            self.program.stop()
            raise
        self._devtools = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self.program.stop()

    async def open(self, url: str) -> None:
        """Go there in a new tab, as if the address had been typed; returns before the page is there."""
        async with (
            aiohttp.ClientSession() as client,
            client.put(f"{self._devtools}/json/new?{quote(url, safe=':/?&=%')}") as response,
        ):
            assert response.status == 200, await response.text()

    async def tab(self) -> Tab:
        """A new tab, to be driven."""
        async with (
            aiohttp.ClientSession() as client,
            client.put(f"{self._devtools}/json/new?about:blank") as response,
        ):
            return Tab((await response.json())["webSocketDebuggerUrl"])

    async def tab_urls(self) -> list[str]:
        """Where the tabs are."""
        async with aiohttp.ClientSession() as client, client.get(f"{self._devtools}/json/list") as response:
            return [tab["url"] for tab in await response.json() if tab["type"] == "page"]

    async def close_tabs(self) -> None:
        """Close all tabs but one."""
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{self._devtools}/json/list") as response:
                tabs = [tab["id"] for tab in await response.json() if tab["type"] == "page"]
            for tab in tabs[1:]:
                async with client.get(f"{self._devtools}/json/close/{tab}"):
                    pass

    def _port(self) -> int | None:
        lines = self._port_file.read_text().split() if self._port_file.exists() else []
        return int(lines[0]) if lines else None


class PageServer:
    """Serves the files of `pages`, under any host name, and takes what they report.

    `/redirect?to=URL` redirects with 307, which keeps method and body.
    """

    def __init__(self) -> None:
        self.port = 0
        self._reports: asyncio.Queue[Any] = asyncio.Queue()
        self._runner = web.ServerRunner(web.Server(self._answer))

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def url(self, host: str, page: str, told: dict[str, str]) -> str:
        """The URL of a page, which gets `told` as JSON in its query."""
        return f"http://{host}:{self.port}/{page}.html?{quote(json.dumps(told), safe='')}"

    async def report(self) -> Any:
        """What a page has reported next."""
        async with asyncio.timeout(_PATIENCE):
            return await self._reports.get()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/report":
            self._reports.put_nowait(json.loads(await request.text()))
            return web.Response(status=204)
        if request.path == "/redirect":
            return web.Response(status=307, headers={"Location": request.query["to"]})
        file = _PAGES / request.path.removeprefix("/")
        if not request.path.endswith(".html") or not file.is_file():
            return web.Response(status=404)
        return web.Response(body=file.read_bytes(), content_type="text/html", headers={"Cache-Control": "no-store"})

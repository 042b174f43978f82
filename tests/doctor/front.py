"""A web server in front of the proxy, as people put one there: it passes requests on, not quite as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

from jmap_proxy.sandbox.listener import Listener

if TYPE_CHECKING:
    from types import TracebackType


class Front:
    """Passes requests on.

    Args:
        port: Of the proxy.
        rewritten: Header fields that it sets.
        removed: Header fields that it takes away.
    """

    def __init__(self, port: int, rewritten: dict[str, str], removed: tuple[str, ...]) -> None:
        self._port = port
        self._rewritten = rewritten
        self._removed = removed
        self.origin = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._client = aiohttp.ClientSession()
        self._listener = Listener(app)
        self.origin = await self._listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.stop()
        await self._client.close()

    async def _answer(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name not in self._removed}
        url = f"http://127.0.0.1:{self._port}{request.path_qs}"
        async with self._client.request(request.method, url, headers=headers | self._rewritten) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

"""A server that answers as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import web

from jmap_proxy.sandbox.listener import Listener

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


@dataclass
class Scripted:
    """A server with an answer for each path; it keeps the header fields of what it is asked."""

    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    ssl_context: ssl.SSLContext | None = None
    origin: str = ""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._listener = Listener(app, ssl_context=self.ssl_context)
        self.origin = await self._listener.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.stop()

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        status, body, headers = self.answers.get(request.path, (404, b"", {}))
        return web.Response(status=status, body=body, headers=headers)

"""A reverse proxy in front of the OpenID Provider that loses what it is told to lose.

Its URL is the provider's issuer, and Host goes through unchanged, so that the provider names all its endpoints here.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

from jmap_proxy.sandbox.listener import Listener
from tests.e2e.layout import free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import CIMultiDict

_PER_CONNECTION = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})


@dataclass
class Fault:
    """What happens to the next refreshes.

    Attributes:
        lose: "request": the connection is closed before the provider knows; "answer": after the provider has acted.
        status: Answered so, and the provider does not know; 0 leaves that to the others.
        headers: Of that answer.
        hold: Waited for: after the provider has acted if its answer is to be lost, else before it knows.
        met: Set when the waiting begins.
        count: How many requests meet it.
    """

    lose: Literal["", "request", "answer"] = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    met: asyncio.Event = field(default_factory=asyncio.Event)
    count: int = 1

    async def wait(self) -> None:
        """Tells that it was met, and waits."""
        self.met.set()
        if self.hold is not None:
            await self.hold.wait()


@dataclass(frozen=True)
class Exchange:
    """A refresh that reached the provider, and what the provider made of it.

    Attributes:
        sent: The refresh token.
        result: "ok" or the error code.
        access_token: The new one, "" where there is none.
        refresh_token: The new one, "" where there is none.
    """

    sent: str = field(repr=False)
    result: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class Lossy:
    """Use it as an asynchronous context manager: it serves inside the `async with`, unless it is told to refuse.

    Args:
        port: Where it listens.
        provider: Base URL of the provider itself.

    Attributes:
        exchanges: What the provider was asked for, and has answered, whoever got the answer.
        met: How many refreshes came, also those that the provider never saw.
    """

    def __init__(self, port: int, provider: str) -> None:
        self.exchanges: list[Exchange] = []
        self.met = 0
        self._port = port
        self._provider = provider
        self._faults: list[Fault] = []

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.refuse()
        await self._client.close()

    async def listen(self) -> None:
        """Takes connections."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._listener = Listener(app, port=self._port)
        await self._listener.start()

    async def refuse(self) -> None:
        """Takes no connection any more, and closes those that there are."""
        await self._listener.stop()

    def add(self, fault: Fault) -> Fault:
        """Lets the next refreshes meet it."""
        self._faults += [fault] * fault.count
        return fault

    def heal(self) -> None:
        """No further refresh meets a fault."""
        self._faults.clear()

    @property
    def results(self) -> list[str]:
        """What came of the refreshes that reached the provider."""
        return [exchange.result for exchange in self.exchanges]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if b"grant_type=refresh_token" not in body:
            return await self._forward(request, body)
        self.met += 1
        fault = self._faults.pop(0) if self._faults else Fault()
        if fault.lose != "answer":
            await fault.wait()
        if fault.lose == "request":
            return _lost(request)
        if fault.status:
            return web.Response(status=fault.status, headers=fault.headers)
        answer = await self._forward(request, body)
        self.exchanges.append(_exchange(body, answer))
        if fault.lose == "answer":
            await fault.wait()
            return _lost(request)
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        url = self._provider + request.path_qs
        headers = _end_to_end(request.headers.copy())
        async with self._client.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            headers = _end_to_end(answer.headers.copy())
            return web.Response(status=answer.status, headers=headers, body=await answer.read())


def new_front() -> tuple[int, str]:
    """A port for it that nobody has, and the URL there."""
    (port,) = free_ports(1)
    return port, f"http://127.0.0.1:{port}"


def _end_to_end(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    for name in _PER_CONNECTION:
        headers.popall(name, None)
    return headers


def _lost(request: web.Request) -> web.Response:
    """Closes the connection; the answer that is returned then is lost."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _exchange(form: bytes, answer: web.Response) -> Exchange:
    assert isinstance(answer.body, bytes)
    told = json.loads(answer.body)
    sent = parse_qs(form.decode())["refresh_token"][0]
    return Exchange(sent, told.get("error", "ok"), told.get("access_token", ""), told.get("refresh_token", ""))

"""A lane over a real exchange with a real server, and a client that notes what it is told."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict, CIMultiDictProxy

from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.fast.lane import Lane
from jmap_proxy.proxy.forwarding import Plane
from jmap_proxy.proxy.passage import Unobserved
from jmap_proxy.proxy.session.endpoint import local_prefix
from jmap_proxy.proxy.session.policy import Policy
from jmap_proxy.proxy.session.sessions import Sessions
from jmap_proxy.proxy.upstream.exchange import Call, Exchange
from jmap_proxy.proxy.upstream.pool import upstream_session
from tests.proxy.support import KEY, SESSION, Tokens, raw_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiohttp

    from jmap_proxy.errors import JmapProxyError
    from jmap_proxy.proxy.fast.crossing import Crossing
    from jmap_proxy.proxy.fast.route import Route

TIME_LIMIT = 10
DATE = "Sun, 29 Nov 2026 02:19:34 GMT"
BODY = b'{"using":[]}'


def answer(body: bytes = b"first", *more: str, date: str = DATE, status: str = "200 OK") -> bytes:
    """A plain answer, or one with further fields."""
    lines = [f"HTTP/1.1 {status}", f"Date: {date}", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Server:
    """A mail server that keeps its connections.

    Attributes:
        requests: What was asked for, in their order.
        answers: To API calls, one after the other, the last one stays. Each in pieces; by None the connection ends.
        go_on: Whether another piece than the first may be sent.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[list[bytes | None]] = [[answer()]]
        self.go_on = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes by a connection."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            self.requests.append(head + await reader.readexactly(int(length[1]) if length else 0))
            if not head.startswith(b"POST"):
                writer.write(answer(json.dumps(SESSION).encode()))
                continue
            pieces = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
            for number, piece in enumerate(pieces):
                if number:
                    await self.go_on.wait()
                if piece is None:
                    return
                writer.write(piece)


class Listening:
    """A `Client` that notes what it is told.

    Attributes:
        told: In the order in which it came: "answer", "carry on", "fail".
        answered: The bytes of the answers.
        may_answer: What it says if it is asked.
    """

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answered: list[bytes] = []
        self.may_answer = True
        self._heard = asyncio.Event()

    def can_answer(self) -> bool:
        """See `Client`."""
        return self.may_answer

    def answer(self, data: bytes) -> None:
        """See `Client`."""
        self.answered.append(data)
        self._note("answer")

    def carry_on(self) -> None:
        """See `Client`."""
        self._note("carry on")

    def fail(self, data: bytes) -> None:
        """See `Client`."""
        self.answered.append(data)
        self._note("fail")

    async def heard(self) -> str:
        """What it was told, once that has come."""
        await self._heard.wait()
        self._heard.clear()
        return self.told[-1]

    def _note(self, what: str) -> None:
        self.told.append(what)
        self._heard.set()


class Noting(Unobserved):
    """An observer that notes what it is told, and raises if it should."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int]] = []
        self.failures: list[str] = []
        self.error: Exception | None = None

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """See `Observer`."""
        assert seconds >= 0
        if self.error is not None:
            raise self.error
        self.noted.append((kind, status))

    def failed(self, account: str, error: JmapProxyError, request_id: str) -> None:
        """See `Observer`."""
        super().failed(account, error, request_id)
        self.failures.append(request_id)


class Source(Tokens):
    """A token source that has one at once, or raises `refusal` where it is asked for that."""

    def __init__(self) -> None:
        super().__init__("good", "better", at_once=True)
        self.refusal: JmapProxyError | None = None

    def token_now(self) -> str | None:
        """The first one left."""
        if self.refusal is not None:
            raise self.refusal
        return super().token_now()


class Keys:
    """The local keys: `of` may be changed, or raise `error`."""

    def __init__(self) -> None:
        self.of = {KEY: "alice", "orphan": "bob"}
        self.error: JmapProxyError | None = None

    def account_of(self, key: str) -> str | None:
        """The account that a key opens."""
        if self.error is not None:
            raise self.error
        return self.of.get(key)


@dataclass
class World:
    """A lane, what it needs, and what can be changed about that."""

    server: Server
    origin: str
    http: aiohttp.ClientSession
    planes: dict[str, Plane]
    policy: Policy
    lane: Lane
    source: Source
    keys: Keys
    observer: Noting
    client: Listening = field(default_factory=Listening)
    carried_on: list[Crossing] = field(default_factory=list)

    @property
    def plane(self) -> Plane:
        """Of the account that the key is for."""
        return self.planes["alice"]

    @property
    def path(self) -> str:
        """The local path of the API endpoint."""
        return f"/{local_prefix(parse_origin(self.origin))}/api/"

    def uses(self) -> int:
        """How many calls are on their way by the plane."""
        return self.plane.uses._count

    def new_plane(self, *, allowed: bool = True) -> Plane:
        """A plane to the server, without a Session; `allowed`: whether its exchange sends the token there."""
        origins = self.policy.allowed if allowed else frozenset[Any]()
        exchange = Exchange(self.http, self.source, origins)
        return Plane(exchange, Sessions("alice", exchange, f"{self.origin}/.well-known/jmap", self.policy))

    def route(self, request: web.BaseRequest | None = None, head: bytes | None = None) -> Route | None:
        """What the lane says about a request."""
        return self.lane.route(request or call(self.path), head_of(self.path) if head is None else head)

    def known_route(self) -> Route:
        """The route of a call as it always is."""
        route = self.route()
        assert route is not None
        return route

    def begin(self, route: Route, body: bytes = BODY) -> Crossing | None:
        """Begin a call."""
        return self.lane.begin(route, body, self.client)

    def must_begin(self, route: Route, body: bytes = BODY) -> Crossing:
        """Begin a call that can be."""
        crossing = self.begin(route, body)
        assert crossing is not None
        return crossing

    async def sent(self) -> list[bytes]:
        """What the server got up to now, but for Sessions: one more request tells that nothing else is on its way."""
        async with self.plane.exchange.send(Call("GET", f"{self.origin}/mark", [])) as told:
            await told.content.read()
        assert self.server.requests[-1].startswith(b"GET /mark ")
        return [each for each in self.server.requests if each.startswith(b"POST")]


def head_of(path: str, *more: str) -> bytes:
    """The head of a call as it always is."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {KEY}", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(BODY)}", "", ""]).encode()


def call(path: str, **changes: Any) -> web.BaseRequest:
    """A request as the lane is asked about it; `fields` are instead of those, None for one that is left out."""
    usual = {"Host": "localhost", "Authorization": f"Bearer {KEY}", "Content-Length": str(len(BODY))}
    fields = usual | changes.pop("fields", {})
    headers = CIMultiDict([(name, value) for name, value in fields.items() if value is not None])
    mocked = make_mocked_request("POST", path, transport=_Transport())  # takes no bytes that are not UTF-8
    message = mocked._message._replace(headers=CIMultiDictProxy(headers), **changes)
    return web.BaseRequest(
        message, mocked.content, mocked.protocol, mocked.writer, mocked.task, asyncio.get_running_loop()
    )


class _Transport(asyncio.Transport):
    """A connection to the listener."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8620)})


@asynccontextmanager
async def world(door: Callable[[Keys], Door] | None = None) -> AsyncIterator[World]:
    """Such a lane. A Session is known, and a connection to the server rests."""
    server, source, keys, observer = Server(), Source(), Keys(), Noting()
    planes: dict[str, Plane] = {}
    carried_on: list[Crossing] = []

    async def carry_on(_: web.BaseRequest, crossing: Crossing) -> web.StreamResponse:
        carried_on.append(crossing)
        return web.Response(status=299)

    async with asyncio.timeout(TIME_LIMIT), raw_server(server.serve) as origin, upstream_session() as http:
        policy = Policy(parse_origin(origin), frozenset({parse_origin(origin)}))
        lane = Lane(door(keys) if door else Door(keys.account_of), planes, observer, carry_on)
        built = World(server, origin, http, planes, policy, lane, source, keys, observer, carried_on=carried_on)
        planes["alice"] = built.new_plane()
        await built.plane.sessions.fetch()
        try:
            yield built
        finally:
            await built.plane.sessions.close()

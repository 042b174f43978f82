"""What the proxy's tests share: a scripted token source, a proxy on loopback, hostile servers, a byte-wise client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from jmap_proxy.errors import JmapProxyError, UpstreamRefusedToken
from jmap_proxy.origins import parse_origin, split_url
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.forwarding import Bounds, Plane
from jmap_proxy.proxy.handler import Handler
from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.proxy.session.policy import Policy, mount_of
from jmap_proxy.proxy.session.sessions import Sessions
from jmap_proxy.proxy.upstream.exchange import Exchange
from jmap_proxy.proxy.upstream.pool import upstream_session

KEY = "the-local-key"
AUTH = f"Authorization: Bearer {KEY}"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SESSION = {
    "capabilities": {"urn:ietf:params:jmap:core": {"maxSizeRequest": 1000}},
    "accounts": {"A": {"accountCapabilities": {}}},
    "primaryAccounts": {"urn:ietf:params:jmap:mail": "A"},
    "username": "alice",
    "state": "s1",
    "apiUrl": "/api/",
    "downloadUrl": "/dl/{accountId}/{blobId}/{name}?accept={type}",
    "uploadUrl": "/up/{accountId}/",
    "eventSourceUrl": "/ev?types={types}&closeafter={closeafter}&ping={ping}",
}


class Tokens:
    """A scripted TokenSource: gives its tokens one after the other, or raises `error`.

    With `at_once` nobody has to wait for one that is there.
    """

    def __init__(self, *tokens: str, error: JmapProxyError | None = None, at_once: bool = False) -> None:
        self.tokens = list(tokens or ("good",))
        self.error = error
        self.at_once = at_once
        self.calls: list[str] = []

    def token_now(self) -> str | None:
        """The first one left, or None: whoever wants one has to ask."""
        return self.tokens[0] if self.at_once and self.error is None else None

    async def ensure_valid_token(self) -> str:
        """The first one left."""
        self.calls.append("ensure")
        if self.error is not None:
            raise self.error
        return self.tokens[0]

    async def replace_rejected(self, rejected: str) -> str:
        """The next one."""
        self.calls.append(f"replace {rejected}")
        if len(self.tokens) == 1:
            raise self.refused_again(rejected)
        if self.tokens[0] == rejected:
            del self.tokens[0]
        return self.tokens[0]

    def refused_again(self, token: str) -> JmapProxyError:
        """The error for the client."""
        self.calls.append(f"refused {token}")
        return UpstreamRefusedToken("the server refuses the token", hint="compare the scopes")


@dataclass
class Proxy:
    """A proxy that is listening."""

    origin: str
    handler: Handler
    listener: Listener
    sessions: Sessions
    client: aiohttp.ClientSession
    tokens: Tokens
    planes: dict[str, Plane]
    http: aiohttp.ClientSession
    port: int = field(init=False)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = parse_origin(self.origin).port

    def request(self, method: str, url: str, **kwargs: Any) -> Any:
        """Send a request with the local key; `url` may be a path."""
        headers = {"Authorization": f"Bearer {KEY}"} | kwargs.pop("headers", {})
        whole = url if url.startswith("http") else self.origin + url
        return self.client.request(method, whole, headers=headers, allow_redirects=False, **kwargs)

    async def session(self) -> dict[str, Any]:
        """The Session as the proxy shows it."""
        async with self.request("GET", "/.well-known/jmap") as response:
            assert response.status == 200, await response.text()
            session: dict[str, Any] = await response.json()
            return session

    async def url(self, field: str, **values: str) -> str:
        """A URL of the Session, its variables filled in."""
        template: str = (await self.session())[field]
        filled = {"types": "*", "closeafter": "no", "ping": "0", "type": "x", "name": "n", "accountId": "u-demo"}
        for variable, value in (filled | values).items():
            template = template.replace("{" + variable + "}", value)
        return template

    async def raw(self, *lines: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request as it is, head line by line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return reader, writer

    def leave(self) -> None:
        """Close the connections that `raw` has opened."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def proxy_to(
    server: str,
    tokens: Tokens | None = None,
    *,
    allowed: tuple[str, ...] = (),
    rewrite: Any = "map",
    door: Door | None = None,
    bounds: Bounds | None = None,
    first_byte: float = 4.0,
    patience: float = 0.2,
    source: Any = None,
    observer: Any = None,
    **listening: Any,
) -> AsyncIterator[Proxy]:
    """A proxy in front of the Session URL `server`; `listening` is for its listener."""
    tokens = tokens or Tokens()
    origin, path = split_url(server)
    policy = Policy(origin, frozenset({origin, *map(parse_origin, allowed)}), rewrite, mount_of(path))
    async with (
        upstream_session() as http,
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        exchange = Exchange(http, source or tokens, policy.allowed, first_byte=first_byte)
        sessions = Sessions("alice", exchange, server, policy)
        planes = {"alice": Plane(exchange, sessions)}
        handler = Handler(planes, bounds or Bounds(), observer)
        door = door or Door({KEY: "alice", "orphan": "bob"}.get)
        listener = Listener(handler.at(door), patience=patience, **listening)
        listener.serve(handler.at(door), handler.lane(door))
        proxy = Proxy(await listener.open("127.0.0.1", 0), handler, listener, sessions, client, tokens, planes, http)
        try:
            yield proxy
        finally:
            proxy.leave()
            handler.end_streams()
            await listener.close()
            await sessions.close()


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    """A server that answers byte by byte as `serve` says; gives its origin."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def scripted(answer: Serve, session: dict[str, Any] | None = None) -> Serve:
    """Answers the request for the Session as usual, and all others by `answer` (which gets the head unread)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/.well-known/jmap" in head.split(b"\r\n")[0]:
            body = json.dumps(session or SESSION).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            return
        await answer(_Prepended(head, reader), writer)

    return serve


class _Prepended(asyncio.StreamReader):
    """A reader that gives the head once more, then the rest."""

    def __init__(self, head: bytes, rest: asyncio.StreamReader) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    async def readuntil(self, separator: Any = b"\n") -> bytes:
        head, self._head = self._head, b""
        return head or await self._rest.readuntil(separator)

    async def readexactly(self, n: int) -> bytes:
        return await self._rest.readexactly(n)

    async def read(self, n: int = -1) -> bytes:
        return await self._rest.read(n)


def answering(data: bytes, heads: list[bytes] | None = None) -> Serve:
    """Answers `data`, byte for byte, and closes; what was asked for is noted in `heads`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head)
        writer.write(data)
        await writer.drain()

    return scripted(serve)

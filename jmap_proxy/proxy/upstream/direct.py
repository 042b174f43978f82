"""The short way to a server: aiohttp's connections and parser without what its client does besides.

`ClientSession` costs about twice what aiohttp's server half costs (measured), for things that a proxy does not use.
Whatever relies on the client's inner names is here, in `connections` and in `unread`, pinned by the tests: here of 3.14
a connector's `_loop` and `connect`; `Connection`; a protocol's `set_response_params`, `read`, `start_timeout`;
`ClientRequest` with its `connection_key` as what `connect` takes. Where aiohttp is another one, `sender` takes the
ordinary way.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from jmap_proxy.origins import split_url
from jmap_proxy.proxy.upstream.connections import INTERIM
from jmap_proxy.proxy.wire.framing import has_control

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from aiohttp import StreamReader
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.http import HttpVersion, RawResponseMessage
    from multidict import CIMultiDictProxy

    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.upstream.connections import Asker, Pool, PooledConnection
    from jmap_proxy.proxy.wire.headers import Field

VERSION = "3.14."
"""Of aiohttp, whose inner names are used: here, and wherever else they are in the forwarding plane."""


def is_known(version: str) -> bool:
    """Whether the inner names of this version of aiohttp are the ones that are used. Pure."""
    return version.startswith(VERSION)


class DirectAnswer:
    """An answer whose head has come. Its connection goes back to the pool when its body has come whole.

    Attributes:
        status: By RFC 9110 §15.
        reason: Phrase of the status line.
        version: Of HTTP.
        headers: Header fields.
        content: The body, as it comes.
        content_length: Bytes of the body by Content-Length, None where that is not told.
        connection: It came by this one, which after an answer of 101 speaks something else than HTTP.
    """

    __slots__ = ("connection", "content", "content_length", "headers", "reason", "status", "version")

    def __init__(self, message: RawResponseMessage, content: StreamReader, connection: Connection) -> None:
        self.status: int = message.code
        self.reason: str = message.reason
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content = content
        length = message.headers.get("Content-Length")
        self.content_length = None if length is None else int(length)  # digits: the parser has seen to it
        self.connection = connection
        if self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            content.on_eof(connection.release)

    def close(self) -> None:
        """Give up what has not come yet."""
        self.connection.close()


class Direct:
    """Sends requests that have no body or a small one, over a pool's connections.

    Args:
        pool: The connections.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._servers: dict[Origin, _Server] = {}

    async def request(
        self, method: str, url: str, fields: Iterable[Field], body: bytes, times: aiohttp.ClientTimeout
    ) -> DirectAnswer:
        """Send a request and give its answer, once the head is there.

        Args:
            method: Of the request.
            url: Sent as it is.
            fields: All header fields but Host, those that frame the body included.
            body: b"" for none.
            times: Its `connect` and `sock_read` count.

        Raises:
            aiohttp.ClientError, TimeoutError, OSError: no answer.
            ValueError: a control character in the head.
        """
        server, head = self._head(method, url, fields)
        data = b"%b\r\n%b" % (head, body)
        try:
            connection = await self._pool.connect(server.template, [], times)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        try:
            return await _converse(connection, data, has_answer_body=method != "HEAD", silence=times.sock_read)
        except BaseException:
            connection.close()
            raise

    def prepare(self, method: str, url: str, fields: Iterable[Field]) -> Prepared:
        """What requests to a URL have in common. Raises ValueError: as `request`."""
        return Prepared(*self._head(method, url, fields))

    def begin(self, prepared: Prepared, rest: bytes, silence: float | None, asker: Asker) -> Sent | None:
        """Send a request at once, if a connection rests; else None, and nothing is sent.

        Args:
            prepared: The begin of its head.
            rest: Further lines of its head, the empty one, and the body.
            silence: Seconds that the server may be silent.
            asker: Is told when the answer begins to come.
        """
        key = prepared.server.template.connection_key
        connection = self._pool.take(key)
        if connection is None:
            return None
        connection.ask(prepared.head + rest, silence, asker)
        return Sent(self._pool, key, connection)

    def _head(self, method: str, url: str, fields: Iterable[Field]) -> tuple[_Server, bytes]:
        """The lines of a head, each with its end, but for the empty one."""
        origin, target = split_url(url)
        server = self._servers.get(origin) or self._learn(origin)
        lines = [
            f"{method} {target or '/'} HTTP/1.1",
            server.host_line,
            *[f"{name}: {value}" for name, value in fields],
        ]
        if has_control(lines):
            raise ValueError("control character in a request's head")
        return server, "\r\n".join([*lines, ""]).encode()

    def _learn(self, origin: Origin) -> _Server:
        server = self._servers[origin] = _Server(origin, self._pool._loop)  # noqa: SLF001 - see above
        return server


class _Template(ClientRequest):
    """A request that nobody sends: what a connector wants to know of one, worked out once."""

    @functools.cached_property
    def connection_key(self) -> ConnectionKey:
        """Tells connections to one server from those to another."""
        return super().connection_key


class _Server:
    """What is the same for all requests to a server: what a connector wants to know of a request, and Host."""

    __slots__ = ("host_line", "template")

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self.template = _Template("GET", URL(str(origin)), loop=loop)
        self.host_line = f"Host: {self.template.headers['Host']}"


class Prepared:
    """The begin of a request's head, which many have in common. Not a dataclass: a repr would show it.

    Attributes:
        server: Where it goes.
        head: Whole lines, the first one among them.
    """

    __slots__ = ("head", "server")

    def __init__(self, server: _Server, head: bytes) -> None:
        self.server = server
        self.head = head


class Sent:
    """A request that was sent, and whose answer has not been taken yet.

    It ends by `answered`, `answer` or `close`.
    """

    __slots__ = ("_key", "_pool", "connection")

    def __init__(self, pool: Pool, key: ConnectionKey, connection: PooledConnection) -> None:
        self._pool = pool
        self._key = key
        self.connection: PooledConnection | None = connection

    def answered(self) -> None:
        """The whole answer has been taken from the connection, which may be used again."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.answer_taken()
            self._pool.put_back(self._key, connection)

    async def answer(self) -> DirectAnswer:
        """The answer, once its head is there; of what has come, `parse` has been told. Raises as `Direct.request`."""
        protocol, self.connection = self.connection, None
        if protocol is None:
            raise aiohttp.ServerDisconnectedError
        connection = Connection(self._pool, self._key, protocol, self._pool._loop)  # noqa: SLF001 - see above
        try:
            return await _hear(connection, protocol)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Give the answer up, if nobody has taken it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.ignore()
            self._pool.put_back(self._key, connection, should_close=True)


async def _converse(
    connection: Connection, data: bytes, *, has_answer_body: bool, silence: float | None
) -> DirectAnswer:
    protocol = connection.protocol
    if protocol is None or protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        skip_payload=not has_answer_body,
        read_until_eof=True,
        auto_decompress=False,
        read_timeout=silence,
    )
    protocol.transport.write(data)
    protocol.start_timeout()
    return await _hear(connection, protocol)


async def _hear(connection: Connection, protocol: ResponseHandler) -> DirectAnswer:
    try:
        message, content = await protocol.read()
        while message.code in INTERIM:
            message, content = await protocol.read()
    except HttpProcessingError as error:
        raise aiohttp.ClientPayloadError(f"the answer's head cannot be read: {error.code}") from None
    return DirectAnswer(message, content, connection)

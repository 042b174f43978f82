"""The short way to a server: aiohttp's connections and parser without what its client does besides.

`ClientSession` costs about twice what aiohttp's server half costs (measured), for things that a proxy does not use.
Whatever relies on the client's inner names is here and in `unread`, pinned by the tests: of 3.14 a connector's
`_factory`, `_loop` and `connect`; a protocol's `_payload`, `feed_data`, `set_response_params`, `read`, `start_timeout`,
and for the latter `_read_timeout`, `_reschedule_timeout`, `_drop_timeout`, `_on_read_timeout`; `ClientRequest` with its
`connection_key` as what `connect` takes. Where aiohttp is another one, `sender` takes the ordinary way.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from jmap_proxy import unread
from jmap_proxy.origins import split_url
from jmap_proxy.proxy.wire.broken_body import break_body
from jmap_proxy.proxy.wire.framing import has_control
from jmap_proxy.unread import Connector

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from aiohttp import StreamReader
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http import HttpVersion, RawResponseMessage
    from multidict import CIMultiDictProxy

    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.wire.headers import Field

VERSION = "3.14."
"""Of aiohttp, whose inner names these are."""


def is_known(version: str) -> bool:
    """Whether the inner names of this version of aiohttp are the ones that are used here. Pure."""
    return version.startswith(VERSION)


class Pool(Connector):
    """Connections that are used again only if nothing has come on them that was not asked for.

    aiohttp gives such an answer to whoever sends the next request on the connection, perhaps another account.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(_Connection, **settings)


class _Connection(unread.Connection):
    """A connection; not only in what it says below does it differ from aiohttp's, it also spares timers.

    aiohttp sets a new timer for each piece that comes, four for an answer that comes in one. Here a piece only notes
    until when the other side may be silent; a timer that goes off too early waits for what is left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._silent_until: float | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._silence_ends = 0.0

    def _reschedule_timeout(self) -> None:
        if not self._read_timeout:
            self._silent_until = None
            return
        until = self._silent_until = self._loop.time() + self._read_timeout
        if self._silence is None or until < self._silence_ends:
            self._set_timer(until)

    def _drop_timeout(self) -> None:
        self._silent_until = None

    def _set_timer(self, at: float) -> None:
        self._stop_timer()
        self._silence, self._silence_ends = self._loop.call_at(at, self._look), at

    def _stop_timer(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _look(self) -> None:
        self._silence, until = None, self._silent_until
        if until is None:
            return
        if self._loop.time() < until:
            self._set_timer(until)
        else:
            self._on_read_timeout()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody is waited for any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def is_connected(self) -> bool:
        """Whether it is open and in step; asked before a connection is used again."""
        return super().is_connected() and not self.should_close

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell the answer's body too when its bytes have become unreadable: aiohttp lets it wait for ever."""
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and self._payload is not None:
            break_body(self._payload, aiohttp.ClientPayloadError("the answer cannot be read"))


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
        origin, target = split_url(url)
        server = self._servers.get(origin) or self._learn(origin)
        lines = [
            f"{method} {target or '/'} HTTP/1.1",
            server.host_line,
            *[f"{name}: {value}" for name, value in fields],
        ]
        if has_control(lines):
            raise ValueError("control character in a request's head")
        data = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            connection = await self._pool.connect(server.template, [], times)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        try:
            return await _converse(connection, data, has_answer_body=method != "HEAD", silence=times.sock_read)
        except BaseException:
            connection.close()
            raise

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
    try:
        message, content = await protocol.read()
        while HTTPStatus.CONTINUE <= message.code < HTTPStatus.OK and message.code != HTTPStatus.SWITCHING_PROTOCOLS:
            message, content = await protocol.read()
    except HttpProcessingError as error:
        raise aiohttp.ClientPayloadError(f"the answer's head cannot be read: {error.code}") from None
    return DirectAnswer(message, content, connection)

"""The connections to servers: aiohttp's, with what it lacks and what the short way asks of them.

Whatever relies on the client's inner names is here, in `direct` and in `unread`, pinned by the tests: of 3.14 a
connector's `_conns`, `_acquired`, `_keepalive_timeout`, `_release`; a protocol's `_loop`, `_payload`, `_buffer`,
`set_response_params`, and `_read_timeout`, `_reschedule_timeout`, `_drop_timeout`, `_on_read_timeout`.
"""

from __future__ import annotations

import select
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from jmap_proxy import unread
from jmap_proxy.proxy.wire.broken_body import break_body

if TYPE_CHECKING:
    import asyncio

    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.http import RawResponseMessage


INTERIM = frozenset(range(100, 200)) - {101}
"""Statuses of answers that another one follows (RFC 9110 §15.2)."""


class Asker(Protocol):
    """Who waits for an answer."""

    def heard(self, data: bytes) -> None:
        """Its first bytes have come; b"" if none will come. Told once."""


class Pool(unread.Connector):
    """Connections that are used again only if no answer has come on them that was not asked for.

    aiohttp gives such an answer to whoever sends the next request on the connection, perhaps another account.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(PooledConnection, **settings)

    def take(self, key: ConnectionKey) -> PooledConnection | None:
        """A connection that rests, without waiting; None where `connect` has something to do first."""
        resting = self._conns.get(key)
        if not resting:
            return None
        protocol, since = resting[0]
        patience = self._keepalive_timeout
        late = patience is not None and monotonic() - since > patience
        if late or protocol.writing_paused or not protocol.is_connected() or not isinstance(protocol, PooledConnection):
            return None
        resting.popleft()
        if not resting:
            del self._conns[key]
        self._acquired.add(protocol)
        return protocol

    def put_back(self, key: ConnectionKey, protocol: PooledConnection, *, should_close: bool = False) -> None:
        """Let a connection that was taken rest; it ends if it should, or is out of step."""
        self._release(key, protocol, should_close=should_close)


class PooledConnection(unread.Connection):
    """A connection; not only in what it says below does it differ from aiohttp's, it also spares timers.

    aiohttp sets a new timer for each piece that comes, four for an answer that comes in one. Here a piece only notes
    until when the other side may be silent; a timer that goes off too early waits for what is left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._silent_until: float | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._silence_ends = 0.0
        self._asker: Asker | None = None
        self._news: select.poll | None = None

    def ask(self, data: bytes, silence: float | None, asker: Asker) -> None:
        """Send a request; what comes next is told to `asker`, and not to the parser.

        Args:
            data: Head and body.
            silence: Seconds that the server may be silent.
            asker: Is told in any case, unless `ignore` is called before.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self._asker = asker
        self._read_timeout = silence
        self.transport.write(data)
        self._reschedule_timeout()

    def ignore(self) -> None:
        """Tell nobody what comes next."""
        self._asker = None

    def parse(self, data: bytes) -> None:
        """Let aiohttp's parser read the begin of an answer."""
        self.set_response_params(read_until_eof=True, auto_decompress=False, read_timeout=self._read_timeout)
        self.data_received(data)

    def whole_answer(self) -> RawResponseMessage | None:
        """The head of what was parsed, if that is one answer with its whole body."""
        if len(self._buffer) != 1 or self._payload is None or not self._payload.is_eof():
            return None
        return self._buffer[0][0][0]

    def answer_taken(self) -> None:
        """The answer that was asked for has come: no more is waited for."""
        self._silent_until = None
        self._payload = None
        self._buffer.clear()

    def data_received(self, data: bytes) -> None:
        """Tell who asks, or else the parser."""
        asker = self._asker
        if asker is not None:
            self._asker = None
            asker.heard(data)
            return
        super().data_received(data)
        if self._buffer and self._buffer[-1][0][0].code in INTERIM:
            self._reschedule_timeout()  # aiohttp takes its end for the end of the waiting

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
        """Whether it is open and in step; asked before a connection is used again.

        The socket is asked too. A connection is used again in the very round of the loop in which it has become free,
        and its end, or what was not asked for, may have come before the next round would see it.
        """
        if not super().is_connected() or self.should_close:
            return False
        if self._has_news():
            self.force_close()
        return not self.should_close

    def _has_news(self) -> bool:
        """Whether something can be read that the loop has not read."""
        if self._news is None:
            connection = None if self.transport is None else self.transport.get_extra_info("socket")
            if connection is None:
                return False
            self._news = select.poll()
            self._news.register(connection.fileno(), select.POLLIN)
        return bool(self._news.poll(0))

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell the answer's body too when its bytes have become unreadable: aiohttp lets it wait for ever."""
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and self._payload is not None:
            break_body(self._payload, aiohttp.ClientPayloadError("the answer cannot be read"))
        if self._asker is not None:
            asker, self._asker = self._asker, None
            asker.heard(b"")

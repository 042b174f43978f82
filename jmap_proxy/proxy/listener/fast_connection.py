"""Clients' connections on which API calls need not wait for a task: they are sent on as soon as they have come.

Where anything about a call or its answer is not as it always is, aiohttp's parser gets it, and it is answered by a task
in the ordinary way; if it has been sent on by then, that goes on with the answer that is on its way.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from jmap_proxy.proxy.listener.connections import KEEP_ALIVE, LARGE, Connection
from jmap_proxy.proxy.wire.known_head import END

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage

    from jmap_proxy.proxy.fast.crossing import Crossing
    from jmap_proxy.proxy.fast.lane import Lane
    from jmap_proxy.proxy.fast.route import Route

LOST = -1
"""In place of a number of bytes: it is not known where the next message begins."""


class FastConnection(Connection):
    """Such a connection. A `Client` of crossings: one at a time."""

    __slots__ = ("_begun", "_behind", "_call", "_crossing", "_held", "_owed", "_route")

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._owed = 0
        """Bytes of a body that the parser waits for: with 0 it stands between two messages. Or `LOST` for ever."""
        self._route: Route | None = None
        self._crossing: Crossing | None = None
        self._call = b""
        self._behind: deque[bytes] = deque()
        self._held = 0
        self._begun: Crossing | None = None

    def data_received(self, data: bytes) -> None:
        """Send an API call on, or pass the bytes to the parser."""
        if self._crossing is not None:
            self._wait_behind(data)
            return
        lane = self._server.lane
        if lane is None:
            self._owed = LOST
            super().data_received(data)
            return
        if self._owed or not self.is_free():
            self._receive(data)
            return
        route = self._route
        if route is not None and route.lane is lane:
            start = route.head.start_of_body(data)
            if start and self._begin(lane, route, data, start):
                return
        self._receive_new(lane, data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what has been begun."""
        self._begun, self._crossing = self._crossing or self._begun, None
        begun = self.take_begun()
        if begun is not None:
            begun.close()
        super().connection_lost(exc)

    def take_begun(self) -> Crossing | None:
        """What has been begun for the request that is to be answered now; it is to be closed afterwards."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._server.crossings.end()
        return begun

    def can_answer(self) -> bool:
        """See `Client`."""
        transport = self.transport
        return not (transport is None or transport.is_closing() or self._close or self._server.closing)

    def answer(self, data: bytes) -> None:
        """See `Client`."""
        self._crossing, self._call = None, b""
        self._server.crossings.end()
        if self.transport is not None:
            self.transport.write(data)
        self.rest()
        self._catch_up()

    def fail(self, data: bytes) -> None:
        """See `Client`."""
        if self.transport is not None and self._crossing is not None:
            self.transport.write(data)
        self.force_close()

    def carry_on(self) -> None:
        """See `Client`. The parser gets what has come, so that there is a request to answer."""
        self._begun, self._crossing = self._crossing, None
        call, self._call = self._call, b""
        self._receive(call)
        self._catch_up()

    def _wait_behind(self, data: bytes) -> None:
        """Keep what comes while a call is on its way; not without end. How long a head takes is counted afterwards."""
        self._behind.append(data)
        self._held += len(data)
        if self._held > LARGE and self.transport is not None:
            self.transport.pause_reading()

    def _begin(self, lane: Lane, route: Route, data: bytes, start: int) -> bool:
        """Send a call on; False if it is not to be sent now."""
        crossing = None if self._server.closing else lane.begin(route, data[start:], self)
        if crossing is None:
            return False
        self._crossing, self._route, self._call = crossing, route, data
        self._server.crossings.begin()
        self.work()
        return True

    def _catch_up(self) -> None:
        """Take what has come meanwhile, as it came, until the next call is on its way."""
        while self._behind and self._crossing is None:
            data = self._behind.popleft()
            if self._held > LARGE >= self._held - len(data) and self.transport is not None:
                self.transport.resume_reading()
            self._held -= len(data)
            self.data_received(data)

    def _receive(self, data: bytes) -> None:
        """Pass bytes to the parser, and let aiohttp answer what has come."""
        self._parse(data)
        self.go_on()

    def _receive_new(self, lane: Lane, data: bytes) -> None:
        """Pass bytes to the parser; if they are a whole API call, learn from it and send it on."""
        start = self._parse(data)
        latest = self.latest() if start else None
        if latest is not None and latest[0].method == "POST":
            route = lane.route(self.request_of(*latest), data[:start])
            if route is not None and self._begin(lane, route, data, start):
                self.drop_latest()
                return
        self.go_on()

    def _parse(self, data: bytes) -> int:
        """Returns where the body begins, if the bytes are one whole message; else 0."""
        before, owed = self._request_count, self._owed
        self.receive_quietly(data)
        if not data:
            return 0
        if owed:
            self._owed = owed - len(data) if len(data) <= owed else LOST
            return 0
        self._owed = LOST
        latest = self.latest() if self._request_count == before + 1 and self._messages else None
        if latest is None:
            return 0
        start, length = _framing(latest[0], data)
        if start and len(data) - start <= length:
            self._owed = start + length - len(data)
        return 0 if self._owed else start

    def _process_keepalive(self) -> None:
        """Not while a call is on its way."""
        if self._crossing is None:
            super()._process_keepalive()
        else:
            self._keepalive_handle = self._loop.call_later(KEEP_ALIVE, self._process_keepalive)


def _framing(message: RawRequestMessage, data: bytes) -> tuple[int, int]:
    """Where in the bytes that begin with it a message's body begins, and how long that is; (0, 0) if it is not told."""
    lengths = message.headers.getall("Content-Length", ("0",))
    if message.should_close or message.upgrade or message.chunked or len(lengths) != 1 or data[0] in b"\r\n":
        return 0, 0
    start = data.find(END)
    return (start + len(END), int(lengths[0])) if start >= 0 else (0, 0)

"""Clients' connections on which API calls need not wait for a task: they are sent on as soon as they have come.

Where anything about a call or its answer is not as it always is, aiohttp's parser gets it, and it is answered by a task
in the ordinary way; if it has been sent on by then, that goes on with the answer that is on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jmap_proxy.proxy.listener.boundary import Boundary
from jmap_proxy.proxy.listener.connections import LARGE, Connection

if TYPE_CHECKING:
    from jmap_proxy.proxy.fast.crossing import Crossing
    from jmap_proxy.proxy.fast.lane import Lane
    from jmap_proxy.proxy.fast.route import Route


class FastConnection(Connection):
    """Such a connection. A `Client` of crossings: one at a time."""

    __slots__ = ("_begun", "_behind", "_boundary", "_call", "_crossing", "_held", "_route")

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._boundary = Boundary()
        self._route: Route | None = None
        self._crossing: Crossing | None = None
        self._call = b""
        self._behind: list[bytes] = []
        self._held = 0
        self._begun: Crossing | None = None
        """What was a crossing, until it is taken by who carries it on."""

    def data_received(self, data: bytes) -> None:
        """Send an API call on, or pass the bytes to the parser."""
        lane = self._server.lane
        if self._crossing is not None:
            self._wait_behind(data)
        elif lane is None:
            self._boundary.lose()
            super().data_received(data)
        elif not (self._boundary.is_here and self.is_free()):
            self._receive(data)
        elif not self._begin_known(lane, data):
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
        self.hand_over()
        self._receive(call)
        self._catch_up()

    def _begin_known(self, lane: Lane, data: bytes) -> bool:
        """Send a call on whose head is known; False if it is none, or not to be sent now."""
        route = self._route
        if route is None or route.lane is not lane:
            return False
        start = route.head.start_of_body(data)
        return bool(start) and self._begin(lane, route, data, start)

    def _receive_new(self, lane: Lane, data: bytes) -> None:
        """Pass bytes to the parser; if they are a whole API call, learn from it and send it on."""
        message = self.parse(data)
        start = self._boundary.took(data, message)
        if start and message is not None and message.method == "POST":
            route = lane.route(self.latest_request(), data[:start])
            if route is not None and self._begin(lane, route, data, start):
                self.drop_latest()
                return
        self.go_on()

    def _receive(self, data: bytes) -> None:
        """Pass bytes to the parser, and let aiohttp answer what has come."""
        self._boundary.took(data, self.parse(data))
        self.go_on()

    def _begin(self, lane: Lane, route: Route, data: bytes, start: int) -> bool:
        """Send a call on; False if it is not to be sent now."""
        crossing = None if self._server.closing else lane.begin(route, data[start:], self)
        if crossing is None:
            return False
        self._crossing, self._route, self._call = crossing, route, data
        self._server.crossings.begin()
        self.work()
        return True

    def _wait_behind(self, data: bytes) -> None:
        """Keep what comes while a call is on its way; not without end. How long a head takes is counted afterwards."""
        self._behind.append(data)
        self._held += len(data)
        if self._held > LARGE and self.transport is not None:
            self.transport.pause_reading()

    def _catch_up(self) -> None:
        """Take what has come meanwhile, as it came, until the next call is on its way."""
        while self._behind and self._crossing is None:
            data = self._behind.pop(0)
            if self._held > LARGE >= self._held - len(data):
                self.read_on()
            self._held -= len(data)
            self.data_received(data)

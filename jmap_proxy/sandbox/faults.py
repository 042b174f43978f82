"""Fault switches: what goes wrong at which place, and how a request meets it.

A fault is data; `Faults.meet` is the one function that acts on it. No endpoint's own rules belong here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader

GARBAGE = b"\x00\xff<html>this is not JSON"
CLIENT_GONE = 499
"""The status kept for a request whose client left before it was handled (nginx's convention)."""

_PIECE = 256 * 1024
_FAULT = web.RequestKey("fault", object)


@dataclass
class Fault:
    """One thing that goes wrong, for a number of requests.

    The order of events: `entered` is set, `take` bytes are read and `took` is set, `delay` and `hold` are
    waited for, `drop_early` closes. A client that left meanwhile is not served. Then `status`, `body` or
    `garbage` answer in the endpoint's place, with `acted` after it has handled the request; without them the
    endpoint answers. `headers` are added, and `drop` loses the answer after it was made.

    Attributes:
        status: Answer with this status instead of the endpoint's own answer; 0 leaves that to the others.
        body: Answer with these bytes; status 200 unless `status` says otherwise.
        headers: Headers added to the answer, whoever gives it.
        content_type: Content type of an answer that the fault gives.
        take: Bytes of the request's body that are read and forgotten before the request is handled.
        took: Set when they have been read.
        delay: Seconds to wait before the request is handled.
        hold: Wait for this event before the request is handled.
        entered: Set as soon as a request meets the fault.
        acted: Handle the request fully, then give the fault's answer, as a gateway does that loses the endpoint's.
        drop: Handle the request fully, then close the connection without an answer.
        drop_early: Close the connection without handling the request.
        garbage: Answer bytes that are no JSON; status 200 unless `status` says otherwise.
        cut_after: Close the connection after this many bytes of a download's body.
        count: How many requests meet the fault; -1 for all.
    """

    status: int = 0
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    take: int = 0
    took: asyncio.Event = field(default_factory=asyncio.Event)
    delay: float = 0
    hold: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    acted: bool = False
    drop: bool = False
    drop_early: bool = False
    garbage: bool = False
    cut_after: int | None = None
    count: int = 1

    def answer(self) -> web.Response | None:
        """The answer that the fault gives in the endpoint's place, None if it gives none."""
        if not (self.status or self.garbage or self.body is not None):
            return None
        body = GARBAGE if self.garbage else self.body or b""
        return web.Response(status=self.status or 200, body=body, content_type=self.content_type)

    async def read(self, body: StreamReader) -> None:
        """Read `take` bytes of a request's body, or what there is."""
        left = self.take
        while left > 0 and (piece := await body.read(min(left, _PIECE))):
            left -= len(piece)
        self.took.set()

    async def wait(self) -> None:
        """Wait as long as the fault says: first `delay`, then `hold`."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.hold is not None:
            await self.hold.wait()


@dataclass
class _Armed:
    """A fault and how many requests it has still to hit; negative for all."""

    fault: Fault
    left: int


class Faults:
    """The faults of one server, by place. The first fault added at a place is the first one met."""

    def __init__(self) -> None:
        self._places: dict[str, list[_Armed]] = {}

    def add(self, place: str, fault: Fault) -> Fault:
        """Arm a fault at a place such as `"token"` and return it."""
        self._places.setdefault(place, []).append(_Armed(fault, fault.count))
        return fault

    def clear(self) -> None:
        """Disarm every fault; requests already waiting in one go on waiting."""
        self._places.clear()

    def take(self, place: str) -> Fault | None:
        """The fault that the next request at this place meets; it counts as met."""
        queue = self._places.get(place, [])
        while queue and queue[0].left == 0:
            queue.pop(0)
        if not queue:
            return None
        queue[0].left -= 1
        return queue[0].fault

    async def meet(
        self,
        place: str,
        request: web.Request,
        endpoint: Callable[[], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer a request through the fault armed at a place, if any.

        Args:
            place: The fault place of the endpoint.
            request: The request to answer.
            endpoint: Handles the request. It is not called if the client left while the fault waited.

        Returns:
            The answer. Its status is `CLIENT_GONE` if nothing was handled.
        """
        fault = self.take(place)
        if fault is None:
            return await endpoint()
        request[_FAULT] = fault
        fault.entered.set()
        await fault.read(request.content)
        await fault.wait()
        if fault.drop_early:
            close(request)
        if is_gone(request):
            return web.Response(status=CLIENT_GONE)
        answer = fault.answer()
        if answer is None:
            return await endpoint()
        if fault.acted:
            await endpoint()
        return answer


def fault_of(request: web.Request) -> Fault | None:
    """The fault that a request has met, None if it met none."""
    fault = request.get(_FAULT)
    return fault if isinstance(fault, Fault) else None


async def colour_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Add the fault's headers to an answer's head, or lose the answer (an `on_response_prepare` signal)."""
    fault = fault_of(request)
    if fault is None:
        return
    response.headers.update(fault.headers)
    if fault.drop:
        close(request)


def is_gone(request: web.Request) -> bool:
    """Whether the request's client has left, so that no answer can reach it."""
    return request.transport is None or request.transport.is_closing()


def close(request: web.Request) -> None:
    """Close the request's connection; what is written afterwards is lost."""
    if request.transport is not None:
        request.transport.close()

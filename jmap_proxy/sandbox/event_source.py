"""The event source (RFC 8620 §7.3): state changes as server-sent events over one response."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import hdrs, web

from jmap_proxy.sandbox.state_changes import Listening, StateChanges

_HEADERS = {hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-cache"}


@dataclass(frozen=True)
class EventQuery:
    """What a client asks of the event source.

    Attributes:
        types: The data types it wants to hear of; None for all.
        close_after_state: End the stream after the first state event.
        ping: Seconds between pings; 0 for none.
    """

    types: frozenset[str] | None
    close_after_state: bool
    ping: float

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read the query part; what is missing or odd counts as not asked for."""
        types = query.get("types", "*")
        try:
            ping = max(0.0, float(query.get("ping", "0")))
        except ValueError:
            ping = 0.0
        wanted = None if types in {"", "*"} else frozenset(types.split(","))
        return cls(wanted, query.get("closeafter") == "state", ping)


async def stream_events(request: web.Request, state_changes: StateChanges) -> web.StreamResponse:
    """Stream state changes until the client leaves, the server closes, or `closeafter=state` is fulfilled.

    A client that shows an older `Last-Event-ID` gets the latest change at once.
    """
    query = EventQuery.of(request.query)
    response = web.StreamResponse(headers=_HEADERS)
    with state_changes.listen() as listening:
        latest, seen = state_changes.latest, request.headers.get("Last-Event-ID")
        if latest is not None and seen is not None and seen != str(latest.number):
            listening.put(latest)
        await response.prepare(request)
        await _write_events(response, listening, query)
    return response


async def _write_events(response: web.StreamResponse, listening: Listening, query: EventQuery) -> None:
    while True:
        try:
            change = await listening.next(within=query.ping)
        except TimeoutError:
            await response.write(event("ping", {"interval": query.ping}))
            continue
        if change is None:
            return
        data = change.for_types(query.types)
        if data is None:
            continue
        await response.write(event("state", data, number=change.number))
        if query.close_after_state:
            return


def event(name: str, data: dict[str, Any], *, number: int | None = None) -> bytes:
    """Return one whole server-sent event; `number` becomes its id."""
    identity = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{identity}data: {json.dumps(data)}\n\n".encode()

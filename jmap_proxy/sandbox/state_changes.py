"""State changes on their way to whoever listens (RFC 8620 §7): the queues, and the event source they feed.

The other way out is the `websocket`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Changed = dict[str, dict[str, str]]
"""New states by account id and data type."""
_HEADERS = {hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-cache"}


@dataclass(frozen=True)
class StateChange:
    """One change, numbered in order."""

    number: int
    changed: Changed

    def for_types(self, types: frozenset[str] | None) -> dict[str, Any] | None:
        """The StateChange object cut down to some types, None if nothing remains of it.

        Args:
            types: The data types asked for; None for all.
        """
        changed = {
            account: {name: state for name, state in states.items() if types is None or name in types}
            for account, states in self.changed.items()
        }
        changed = {account: states for account, states in changed.items() if states}
        return {"@type": "StateChange", "changed": changed} if changed else None


class Listening:
    """One listener's queue of changes."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[StateChange | None] = asyncio.Queue()

    def put(self, change: StateChange | None) -> None:
        """Add a change, or None for the end."""
        self._queue.put_nowait(change)

    async def next(self, *, within: float = 0) -> StateChange | None:
        """Wait for the next change.

        Args:
            within: Seconds to wait at most; 0 for as long as it takes.

        Returns:
            The change, or None when the server closes.

        Raises:
            TimeoutError: No change came in time.
        """
        async with asyncio.timeout(within or None):
            return await self._queue.get()


class StateChanges:
    """Publishes changes to all who listen."""

    def __init__(self) -> None:
        self.latest: StateChange | None = None
        self._listening: set[Listening] = set()

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listening]:
        """Listen to changes from now on, as long as the context lasts."""
        listening = Listening()
        self._listening.add(listening)
        try:
            yield listening
        finally:
            self._listening.discard(listening)

    def publish(self, changed: Changed) -> None:
        """Tell all who listen of a change."""
        self.latest = StateChange(self.latest.number + 1 if self.latest else 1, changed)
        for listening in self._listening:
            listening.put(self.latest)

    def close(self) -> None:
        """Tell all who listen that this is the end."""
        for listening in self._listening:
            listening.put(None)


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
    """One whole server-sent event; `number` becomes its id."""
    identity = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{identity}data: {json.dumps(data)}\n\n".encode()

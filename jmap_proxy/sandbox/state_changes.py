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
    from collections.abc import Callable, Iterator, Mapping

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
    """Publishes changes to all who listen, and remembers them for those who come back."""

    def __init__(self) -> None:
        self._history: list[StateChange] = []
        self._listening: set[Listening] = set()

    @property
    def latest(self) -> StateChange | None:
        """The latest change, None if there was none."""
        return self._history[-1] if self._history else None

    def since(self, seen: str | None) -> list[StateChange]:
        """What a client has missed.

        Args:
            seen: Its last event id, None if it shows none; of one that was never given nobody knows what it missed.
        """
        if seen is None:
            return []
        if not (seen.isascii() and seen.isdigit()):
            return self._history[-1:]
        return [change for change in self._history if change.number > int(seen)]

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
        change = StateChange(self.latest.number + 1 if self.latest else 1, changed)
        self._history.append(change)
        for listening in self._listening:
            listening.put(change)

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
        return cls(wanted, query.get("closeafter", query.get("closeAfter")) == "state", ping)


class EventSource:
    """One event source that is open.

    Args:
        request: The client's.
        state_changes: What it is to hear of.
        welcome: Whether its token is good now; if it is not, the stream ends instead of telling something.
    """

    def __init__(self, request: web.Request, state_changes: StateChanges, welcome: Callable[[], bool]) -> None:
        self._request = request
        self._state_changes = state_changes
        self._welcome = welcome
        self._query = EventQuery.of(request.query)
        self._response = web.StreamResponse(headers=_HEADERS)
        self._listening: Listening | None = None

    async def serve(self) -> web.StreamResponse:
        """Stream state changes until the client leaves, somebody ends it, or `closeafter=state` is fulfilled.

        A client that shows its `Last-Event-ID` gets what it has missed at once, in order.
        """
        with self._state_changes.listen() as self._listening:
            for missed in self._state_changes.since(self._request.headers.get("Last-Event-ID")):
                self._listening.put(missed)
            await self._response.prepare(self._request)
            while await self._tell_next(self._listening):
                pass
        return self._response

    def end(self) -> None:
        """End the stream cleanly, as a server does that has been idle for long."""
        if self._listening is not None:
            self._listening.put(None)

    def drop(self) -> None:
        """Drop the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _tell_next(self, listening: Listening) -> bool:
        """Tell the next thing; False when there is nothing more to tell."""
        query = self._query
        try:
            change = await listening.next(within=query.ping)
        except TimeoutError:
            await self._response.write(event("ping", {"interval": query.ping}))
            return self._welcome()
        if change is None or not self._welcome():
            return False
        data = change.for_types(query.types)
        if data is None:
            return True
        await self._response.write(event("state", data, number=change.number))
        return not query.close_after_state


def event(name: str, data: dict[str, Any], *, number: int | None = None) -> bytes:
    """One whole server-sent event; `number` becomes its id."""
    identity = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{identity}data: {json.dumps(data)}\n\n".encode()

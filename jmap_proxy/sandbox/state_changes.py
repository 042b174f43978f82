"""State changes on their way to whoever listens (RFC 8620 §7.1). Knows no transport."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Changed = dict[str, dict[str, str]]
"""New states by account id and data type."""


@dataclass(frozen=True)
class StateChange:
    """One change, numbered in order."""

    number: int
    changed: Changed

    def for_types(self, types: frozenset[str] | None) -> dict[str, Any] | None:
        """Return the StateChange object cut down to some types, None if nothing remains of it.

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

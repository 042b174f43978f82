"""How many connections a listener takes, and how long it waits for a request's head. No I/O, no timers.

When all places are taken, a new connection gets the place of one on which nothing is being answered:

- of the newcomer that has waited longest for its first whole head, since nobody has come in by it yet;
- but where newcomers hold less than their share, of the connection that has rested longest between two requests, which
  a client must always expect (RFC 9112 §9.5). So nobody can hold all places by one refused request each, and a newcomer
  is not pushed out by the next one before its head is read.

If all connections are at work, the new one is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

SHARE = 4
"""Newcomers keep one of so many places."""


class Guest(Protocol):
    """A connection, as the admission sees it."""

    def end_late(self) -> None:
        """End because a head has not come whole in time."""

    def drop(self) -> None:
        """End at once to make room."""


class Admission:
    """The connections of a listener.

    Args:
        most: Connections at a time.
        patience: Seconds for a whole head: from when a connection is opened, or from a later request's first byte.
        clock: Seconds that never go back.
    """

    def __init__(self, most: int, patience: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._patience = patience
        self._clock = clock
        self._guests: set[Guest] = set()
        # in each the first is the oldest: what is added later comes later, and the clock never goes back
        self._newcomers: dict[Guest, float] = {}
        self._begun: dict[Guest, float] = {}
        self._resting: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, guest: Guest) -> bool:
        """Take a new connection in; False if there is no place for it."""
        if len(self._guests) >= self._most and not self._make_room():
            return False
        self._guests.add(guest)
        self._newcomers[guest] = self._clock()
        return True

    def leave(self, guest: Guest) -> None:
        """The connection has ended."""
        self._guests.discard(guest)
        self.head_came(guest)

    def head_begun(self, guest: Guest) -> None:
        """The first bytes of a later request have come, but not its whole head."""
        self._begun[guest] = self._clock()

    def head_came(self, guest: Guest) -> None:
        """The head of a request is whole: the connection is at work."""
        self._newcomers.pop(guest, None)
        self._begun.pop(guest, None)
        self._resting.pop(guest, None)

    def rest(self, guest: Guest) -> None:
        """All requests so far have been answered."""
        if guest in self._guests:
            self._resting[guest] = None

    def end_late(self) -> int:
        """End the connections whose heads have not come in time; how many they are. To be called now and then."""
        limit = self._clock() - self._patience
        late = [
            guest for awaited in (self._newcomers, self._begun) for guest, since in awaited.items() if since <= limit
        ]
        for guest in late:
            self._newcomers.pop(guest, None)
            self._begun.pop(guest, None)
            guest.end_late()
        return len(late)

    def _make_room(self) -> bool:
        guest = next(iter(self._newcomers), None)
        if len(self._newcomers) <= self._most // SHARE:
            guest = next(iter(self._resting), guest)
        if guest is None:
            return False
        self.leave(guest)
        guest.drop()
        return True

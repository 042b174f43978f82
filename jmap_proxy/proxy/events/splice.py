"""Several event streams of the server's, shown to the client as one: what of the next one is new. Pure.

A server that is asked again begins behind the last event id (WHATWG HTML §9.2.4), or further back, or with the present
state. What the client has been shown is not shown again. An event is known by its id *and* data: a server that numbers
anew after a restart loses nothing by it.
"""

from __future__ import annotations

import msgspec

from jmap_proxy.proxy.events.events import ENDS, LONGEST_EVENT, Event, parse_event, split_events, whole_events

REMEMBERED = 64
"""Events that are remembered, the latest ones."""

LONGEST_ID = 2 << 10
"""Characters of an event id that is sent in a header field."""

LONGEST_INTERVAL = 3600.0
"""Seconds between pings; who says more says nothing."""

_BOM = b"\xef\xbb\xbf"


class Splice:
    """What a client has been shown, and what of the bytes that come in it is to be shown next.

    Attributes:
        last_id: The last event id that the server has set; None if it has set none.
        stated: Whether the client has been shown a `state` event (RFC 8620 §7.3).
        news: Whether the present stream has brought anything that the client did not know.
        interval: Seconds between the pings that the present stream promises, 0 if it promises none.
    """

    __slots__ = (
        "_at_start",
        "_earlier",
        "_held",
        "_latest_state",
        "_shown",
        "_torn",
        "interval",
        "last_id",
        "news",
        "stated",
    )

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.stated = False
        self.news = False
        self.interval = 0.0
        self._held = bytearray()
        self._at_start = True
        self._torn = False
        self._shown: list[int] = []  # a deque would take much more while it is empty
        self._earlier: frozenset[int] | None = None
        self._latest_state: int | None = None

    @property
    def can_resume(self) -> bool:
        """Whether another stream can be joined on: not inside an event too long to be held back, nor at an odd id."""
        known = self.last_id or ""
        return not self._torn and len(known) <= LONGEST_ID and known.isprintable()

    def resume(self) -> None:
        """Another stream begins. Half an event at the end of the last one is forgotten: it comes again."""
        self.news = False
        self.interval = 0.0
        self._held.clear()
        self._at_start = True
        self._earlier = frozenset(self._shown)

    def feed(self, chunk: bytes) -> bytes:
        """What the client is to be shown now: whole events and comments, byte for byte.

        Only an event that is too long to be held back is shown in pieces; after that nothing is looked at any more.
        """
        if self._torn:
            return chunk
        seen = len(self._held)
        self._held += chunk
        if self._at_start:
            if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
                return b""
            self._held = self._held.removeprefix(_BOM)
            self._at_start, seen = False, 0
        cut = whole_events(self._held, seen)
        if not cut:
            return b""
        block = bytes(self._held[:cut])
        del self._held[:cut]
        self._torn = len(block) > LONGEST_EVENT and not block.endswith(ENDS)
        return b"".join(raw for raw in split_events(block) if self._is_new(parse_event(raw)))

    def _is_new(self, event: Event) -> bool:
        """Whether the client is to be shown this event; takes down what it says."""
        if event.identity is not None:
            self.last_id = event.identity.decode("utf-8", "replace")
        if event.data is None:
            return True
        if event.name == b"ping":
            self.interval = _interval(event.data)
            return True
        data = _canonical(event.data)
        mark, state = hash((event.identity, event.name, data)), hash(data)
        if self._earlier is not None and self._is_known(event, mark, state):
            return False
        self.news = True
        if event.identity:
            self._shown.append(mark)
            del self._shown[:-REMEMBERED]
        if event.name == b"state":
            self.stated = True
            self._latest_state = state
        return True

    def _is_known(self, event: Event, mark: int, state: int) -> bool:
        """Whether an earlier stream has brought it, or it is the present state, told once more at the beginning."""
        if event.identity and self._earlier is not None and mark in self._earlier:
            return True
        return event.name == b"state" and not self.news and state == self._latest_state


def _canonical(data: bytes) -> bytes:
    """The data with the keys of JSON objects in order: some servers write them in another order each time (Perl's)."""
    try:
        return msgspec.json.encode(msgspec.json.decode(data), order="sorted")
    except (ValueError, RecursionError):
        return data


def _interval(data: bytes) -> float:
    """The seconds that a `ping` event promises (RFC 8620 §7.3), 0 if it makes no sense."""
    try:
        told = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return 0.0
    seconds = told.get("interval") if isinstance(told, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return 0.0
    return float(seconds) if 0 < seconds <= LONGEST_INTERVAL else 0.0

"""Server-sent events (WHATWG HTML §9.2.6): where a stream of them may be cut, and what one says. Pure.

A stream is cut behind whole events only: some clients take what one read gives them for whole events (measured: jmapc).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_EVENT = 1 << 20
"""Bytes that are held back at most while an event is not whole."""

LONGEST_COMMENT = 4 << 10
"""Bytes of comments that are looked at to see whether they can go on at once; keep-alives are short."""

ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
"""What a whole event ends with: its last line's end, and a blank line."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
# Possessive: no way back, so they take linear time.
_COMMENTS = re.compile(rb"(?:(?::[^\r\n]*)?+[\r\n]++)*+")
_EVENT = re.compile(rb"(?:[^\r\n]++(?:\r\n|\r|\n))*+[\r\n]++")


@dataclass(frozen=True, slots=True)
class Event:
    """What an event says; comments and other fields are left out.

    Attributes:
        name: Its type, "" for the default one.
        identity: The event id that it sets, None if it sets none.
        data: Its data, None if it has none: such an event is never shown to anybody.
    """

    name: bytes
    identity: bytes | None
    data: bytes | None


def whole_events(data: bytes | bytearray, seen: int = 0) -> int:
    """How many bytes of `data`, which begins with an event, can be passed on.

    Comments, which servers send to keep connections alive, need no blank line behind them.

    Args:
        data: What has not been passed on yet.
        seen: How much of it was there the last time, when nothing could be passed on; it is not searched again.
    """
    start = max(0, seen - max(map(len, ENDS)))
    end = max(found + len(mark) if (found := data.rfind(mark, start)) >= 0 else 0 for mark in ENDS)
    if not end and data.startswith(b":") and data.endswith((b"\n", b"\r")) and _only_comments(data):
        return len(data)
    return len(data) if not end and len(data) > LONGEST_EVENT else end


def split_events(block: bytes) -> Iterator[bytes]:
    """The events that `block` begins with, byte for byte with their blank lines, then the rest of it, if any."""
    position = 0
    while match := _EVENT.match(block, position):
        yield match[0]
        position = match.end()
    if position < len(block):
        yield block[position:]


def parse_event(raw: bytes) -> Event:
    """Read the bytes of one event. A later field of the same name counts, an id with NUL does not."""
    name, identity, data = b"", None, list[bytes]()
    for line in _LINE_END.split(raw):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"id" and b"\0" not in value:
            identity = value
        elif field == b"data":
            data.append(value)
    return Event(name, identity, b"\n".join(data) if data else None)


def _only_comments(data: bytes | bytearray) -> bool:
    """Whether there are whole comment lines and nothing else; stops at the first other line."""
    return len(data) <= LONGEST_COMMENT and _COMMENTS.fullmatch(data) is not None

"""Where an event stream may be cut: behind whole events. Pure.

Some clients take what one read gives them for whole events (measured: jmapc).
"""

from __future__ import annotations

import re

LONGEST_EVENT = 1 << 20
"""Bytes that are held back at most while an event is not whole."""

_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")

_COMMENTS = re.compile(rb"(?:(?::[^\r\n]*)?+[\r\n]++)*+")  # possessive: no way back, so it takes linear time


def whole_events(data: bytes | bytearray, seen: int = 0) -> int:
    """How many bytes of `data`, which begins with an event, can be passed on.

    Comments, which servers send to keep connections alive, need no blank line behind them.

    Args:
        data: What has not been passed on yet.
        seen: How much of it was there the last time, when nothing could be passed on; it is not searched again.
    """
    start = max(0, seen - max(map(len, _ENDS)))
    end = max(found + len(mark) if (found := data.rfind(mark, start)) >= 0 else 0 for mark in _ENDS)
    if not end and data.startswith(b":") and data.endswith((b"\n", b"\r")) and _only_comments(data):
        return len(data)
    return len(data) if not end and len(data) > LONGEST_EVENT else end


def _only_comments(data: bytes | bytearray) -> bool:
    """Whether there are whole comment lines and nothing else; stops at the first other line."""
    return _COMMENTS.fullmatch(data) is not None

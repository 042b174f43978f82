"""Heads that say the same as one that was understood before, but for the length of the body and the date. Pure.

A client's next request, and a server's next answer, mostly begin with the same bytes as the one before. What parser and
rules have found out about a head holds for each that differs from it in nothing but the digits of Content-Length, or in
an answer's Date: no rule looks at those values, but for the framing, and that is looked at here.
"""

from __future__ import annotations

import re

END = b"\r\n\r\n"

LONGEST_LENGTH = 15
"""Digits of a Content-Length; longer ones are left to the parser."""

_DATE = re.compile(rb"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
"""The only form of a date that may be sent (RFC 9110 §5.6.7)."""

_LINES = re.compile(rb"(?:[^\r\n \t][^\r\n]*\r\n)+\r\n")
"""A head of which everybody sees the same lines; aiohttp takes from servers folded ones, and such with other ends."""

_LENGTH = re.compile(rb"\r\n(Content-Length): *([^\r\n]*)(?=\r\n)", re.IGNORECASE)
_LENGTH_OR_DATE = re.compile(rb"\r\n(?:(Content-Length)|Date): *([^\r\n]*)(?=\r\n)", re.IGNORECASE)


class KnownHead:
    """A head that was understood.

    Args:
        head: From the first line to the empty one, with one Content-Length.
        dated: Whether Date may differ too; there must be one then.

    Raises:
        ValueError: one of the two is not there, or more than once, or of another form; or not all lines are plain.
    """

    __slots__ = ("_date", "_first", "_rest")

    def __init__(self, head: bytes, *, dated: bool = False) -> None:
        if not _LINES.fullmatch(head):
            raise ValueError("not a head of plain lines")
        varying = list((_LENGTH_OR_DATE if dated else _LENGTH).finditer(head))
        are_lengths = [field[1] is not None for field in varying]
        if sorted(are_lengths) != ([False, True] if dated else [True]):
            raise ValueError("not one of each field that may differ")
        ends = [0, *(field.end(2) for field in varying)]
        starts = [*(field.start(2) for field in varying), len(head)]
        self._first, *rest = [head[end:start] for end, start in zip(ends, starts, strict=True)]
        self._rest = tuple(zip(are_lengths, rest, strict=True))
        self._date = b"".join([field[2] for field in varying if field[1] is None])
        if dated and not _DATE.fullmatch(self._date):
            raise ValueError("not a date of the one form")

    @property
    def date(self) -> bytes:
        """Value of Date in the head that was recognised last, at first in its own; b"" if they are not dated."""
        return self._date

    def start_of_body(self, message: bytes) -> int:
        """Where the body begins in bytes that are one whole message with such a head; 0 if they are not."""
        if not message.startswith(self._first):
            return 0
        at, length, date = len(self._first), 0, self._date
        for is_length, literal in self._rest:
            end = message.find(b"\r", at)
            value = message[at:end]
            if is_length:
                if not value.isdigit() or len(value) > LONGEST_LENGTH:
                    return 0
                length = int(value)
            elif value != date:
                if not _DATE.fullmatch(value):
                    return 0
                date = value
            if not message.startswith(literal, end):
                return 0
            at = end + len(literal)
        if len(message) != at + length:
            return 0
        self._date = date
        return at

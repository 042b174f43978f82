"""Where the next message of a connection begins, as far as that can be known from outside of the parser. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.proxy.wire.known_head import END

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage

LOST = -1


class Boundary:
    """Follows what a parser takes, read by read.

    A read that is one whole message, or ends the body of the only one that was open, leaves the parser between two
    messages. After anything else (several messages in a read, a head in pieces, chunks, an upgrade) that is not known
    any more, for as long as the connection lasts.
    """

    __slots__ = ("_owed",)

    def __init__(self) -> None:
        self._owed = 0
        """Bytes of a body that the parser waits for, or `LOST`."""

    @property
    def is_here(self) -> bool:
        """Whether what comes next is the begin of a message."""
        return self._owed == 0

    def lose(self) -> None:
        """The parser takes what nobody follows."""
        self._owed = LOST

    def took(self, data: bytes, message: RawRequestMessage | None) -> int:
        """Count what the parser has taken.

        Args:
            data: All of a read.
            message: The one request of which the head has come to its end by it; None for none, several or nonsense.

        Returns:
            Where in `data` the body begins, if that is one whole message; else 0.
        """
        if not data:
            return 0
        if self._owed:
            self._owed = self._owed - len(data) if len(data) <= self._owed else LOST
            return 0
        start, length = (0, 0) if message is None else _framing(message, data)
        has_come = len(data) - start
        self._owed = length - has_come if start and has_come <= length else LOST
        return 0 if self._owed else start


def _framing(message: RawRequestMessage, data: bytes) -> tuple[int, int]:
    """Where in the bytes that begin with it a message's body begins, and how long that is; (0, 0) if it is not told.

    The parser refuses lines that end otherwise than by CRLF, but skips empty ones in front of a message.
    """
    lengths = message.headers.getall("Content-Length", ("0",))
    if message.should_close or message.upgrade or message.chunked or len(lengths) != 1 or data[0] in b"\r\n":
        return 0, 0
    start = data.find(END)
    return (start + len(END), int(lengths[0])) if start >= 0 else (0, 0)

"""Answers whose heads are known: what the client gets for each of them. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp.http import SERVER_SOFTWARE
from multidict import CIMultiDict

from jmap_proxy.proxy.wire.headers import SERVER
from jmap_proxy.proxy.wire.known_head import KnownHead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.http import RawResponseMessage
    from multidict import MultiMapping

    from jmap_proxy.proxy.wire.headers import Field

ONCE = ("Content-Length", "Content-Type", "Date")
"""Fields that must be there: for one that is not, aiohttp would make one up each time."""

NEVER = ("Location", "Transfer-Encoding")
"""Fields that are more than passed on."""

_HOLE = "\0"


def is_plain(message: RawResponseMessage, headers: MultiMapping[str], length: int) -> bool:
    """Whether an answer is one of those that are sent on as they are: 200, with a body of `length` bytes."""
    return (
        message.code == HTTPStatus.OK
        and message.version == (1, 1)
        and not message.should_close
        and not message.upgrade
        and not any(name in headers for name in NEVER)
        and all(len(headers.getall(name, ())) == 1 for name in ONCE)
        and headers["Content-Length"] == str(length)
    )


class KnownAnswer:
    """A plain answer, and those that differ from it in nothing but date and body.

    Args:
        head: Its own.
        reason: Phrase of its status line.
        fields: Header fields of the answer to the client, but for its framing.

    Raises:
        ValueError: it is not of a form that can be known again.
    """

    __slots__ = ("_head", "_pieces")

    def __init__(self, head: bytes, reason: str, fields: Iterable[Field]) -> None:
        self._head = KnownHead(head, dated=True)
        headers = CIMultiDict([*fields, ("Content-Length", _HOLE)])
        if headers.setdefault("Server", SERVER_SOFTWARE) == SERVER_SOFTWARE:  # as `listener.server.Writer` has it
            headers["Server"] = SERVER
        lines = [f"HTTP/1.1 {HTTPStatus.OK:d} {reason}"]
        lines += [f"{name}: {_HOLE if name.lower() == 'date' else value}" for name, value in headers.items()]
        pieces = "\r\n".join([*lines, "", ""]).encode("ascii").split(_HOLE.encode())
        before, between, after = pieces  # ValueError: there is not the one date
        self._pieces = before, between, after

    def for_client(self, data: bytes) -> bytes | None:
        """The answer to the client for bytes that are one whole answer of this kind; None if they are not."""
        start = self._head.start_of_body(data)
        if not start:
            return None
        before, between, after = self._pieces
        return b"".join((before, self._head.date, between, b"%d" % (len(data) - start), after, data[start:]))

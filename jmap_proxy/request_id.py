"""The id of the request that is being answered: in each log line about it, and in what its client is told of an error.

It is drawn when somebody asks for it; most requests are answered without a word.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar

URN = "urn:jmap-proxy:request:"

BYTES = 5
"""Of randomness; enough to find the lines of one request among those of a week."""


class RequestId:
    """The id of one request, as text: ten hexadecimal digits."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ""

    def __str__(self) -> str:
        self._text = self._text or secrets.token_hex(BYTES)
        return self._text

    @property
    def urn(self) -> str:
        """As the `instance` of problem details (RFC 9457 §3.1.5)."""
        return f"{URN}{self}"


_current: ContextVar[RequestId | None] = ContextVar("request_id", default=None)


def begin_request() -> None:
    """From here on, this task and those that it starts work for a new request."""
    _current.set(RequestId())


def current_request() -> RequestId | None:
    """The request that is being worked for, None if there is none."""
    return _current.get()

"""A request as it is counted: what it is for, whose it is, and when its answer began. Nothing here is a client's text.

The way there is the hot one: a passage costs a few hundred nanoseconds, and who observes it should cost no more.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from jmap_proxy.request_id import current_request

if TYPE_CHECKING:
    from jmap_proxy.errors import JmapProxyError

SESSION = "session"
OTHER = "other"

log = structlog.get_logger("jmap_proxy.proxy")
_area = logging.getLogger("jmap_proxy.proxy")  # knows the level, and is asked in a tenth of the time


def log_tells_of_each() -> bool:
    """Whether each answer has a line in the log, by the id of the request that its task works for."""
    return _area.isEnabledFor(logging.DEBUG)


class Observer(Protocol):
    """Who is told of the requests."""

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """A request is being answered.

        Args:
            kind: What it is for: "session", the value of a `Kind`, or "other".
            status: Of the answer.
            seconds: From the request's head to the first byte of the answer.
        """

    def failed(self, account: str, error: JmapProxyError, request_id: str) -> None:
        """A request is answered with an error of the proxy's own; `account` is "" if it is not known whose it is."""


class Unobserved:
    """Nobody is told."""

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """See `Observer`."""

    def failed(self, account: str, error: JmapProxyError, request_id: str) -> None:
        """See `Observer`."""


class Passage:
    """One request on its way.

    Args:
        observer: Is told of it.

    Attributes:
        kind: What it is for; see `Observer`.
        account: Whose it is, "" as long as that is not known.
    """

    __slots__ = ("_began", "_is_answered", "_observer", "account", "kind")

    def __init__(self, observer: Observer) -> None:
        self.kind = OTHER
        self.account = ""
        self._observer = observer
        self._is_answered = False
        self._began = time.perf_counter()

    def answer(self, status: int) -> None:
        """The answer begins. Only the first time counts: a stream has begun long before it ends."""
        if self._is_answered:
            return
        self._is_answered = True
        seconds = time.perf_counter() - self._began
        self._observer.answered(self.kind, status, seconds)
        if log_tells_of_each():
            log.debug("answered", kind=self.kind, status=status, ms=round(1000 * seconds, 1), account=self.account)

    def fail(self, error: JmapProxyError) -> None:
        """The answer is this error."""
        request = current_request()
        self._observer.failed(self.account, error, str(request) if request else "")

"""When to ask a server again that has ended a stream: at once, then after full-jitter exponential back-off. Pure."""

from __future__ import annotations

from jmap_proxy.retry_after import LONGEST

BASE = 0.5
"""Seconds that the second try waits at most; each further one twice as long."""

CAP = 30.0
"""Seconds that a try waits at most, unless the server asks for more."""

STEADY = 5.0
"""Seconds after which a stream counts as one that worked."""


class Tries:
    """The streams in a row that came to nothing."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def wait(self, lived: float, jitter: float, *, news: bool = False, retry_after: float | None = None) -> float:
        """Seconds to wait before the next try.

        A server that ends each stream with nothing new is asked less and less often; one that has news each time soon,
        and one whose stream worked for a while at once.

        Args:
            lived: Seconds that the last stream lasted, 0 if there was none.
            jitter: A random number in [0, 1).
            news: Whether it brought anything new.
            retry_after: Seconds that the server asked for; honoured up to an hour.
        """
        if lived >= STEADY:
            self._failures = 0
        elif news:
            self._failures = min(self._failures, 1)
        ceiling: float = min(CAP, BASE * 2.0 ** min(self._failures - 1, 30)) if self._failures else 0.0
        self._failures += 1
        return max(ceiling * jitter, min(retry_after or 0.0, LONGEST))

"""How long not to try: full-jitter exponential back-off with Retry-After, and the cool-down. Pure: time is passed in.

A moment that lies further ahead than what was waited for was noted before the clock was set back; it does not count
any more.
"""

from __future__ import annotations

from jmap_proxy.retry_after import LONGEST

BASE = 0.5
CAP = 60.0

COOL_DOWN = 30.0
"""Seconds without refreshes by 401 after the server has refused a token that was fresh; doubles up to the cap."""

COOL_DOWN_CAP = 300.0

ROUNDING = 0.001
"""Seconds by which a sum of epoch seconds may be off."""


class BackOff:
    """Failed tries in a row, and when the next one makes sense."""

    def __init__(self) -> None:
        self.failures = 0
        self.until = float("-inf")
        self._wait = 0.0

    def holds(self, now: float) -> bool:
        """Whether it is too early for another try."""
        return 0.0 < self.until - now <= self._wait + ROUNDING

    def fail(self, now: float, jitter: float, retry_after: float | None) -> float:
        """Note a failed try; the seconds to wait, as `delay` says."""
        self.failures += 1
        self._wait = delay(self.failures, jitter, retry_after)
        self.until = now + self._wait
        return self._wait


class CoolDown:
    """The time after a fresh token was refused, in which another one would not help either."""

    def __init__(self) -> None:
        self.seconds = COOL_DOWN
        self._until = float("-inf")

    def holds(self, now: float) -> bool:
        """Whether it is on."""
        return 0.0 < self._until - now <= self.seconds + ROUNDING

    def begin(self, now: float) -> None:
        """Start it; longer each time, unless the last one is long past."""
        recent = now < self._until + COOL_DOWN_CAP
        self.seconds = min(COOL_DOWN_CAP, self.seconds * 2) if recent else COOL_DOWN
        self._until = now + self.seconds


def delay(failures: int, jitter: float, retry_after: float | None) -> float:
    """Seconds to wait before the next try.

    Args:
        failures: Failed tries in a row, at least 1.
        jitter: A random number in [0, 1).
        retry_after: Seconds that the other side asked for; honoured up to an hour.
    """
    ceiling: float = min(CAP, BASE * 2.0 ** min(failures, 30))
    wait = BASE + (ceiling - BASE) * jitter
    return wait if retry_after is None else max(wait, min(retry_after, LONGEST))

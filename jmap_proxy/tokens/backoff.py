"""How long to wait after a failed refresh: full-jitter exponential back-off, and Retry-After. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

BASE = 0.5
CAP = 60.0
RETRY_AFTER_CAP = 3600.0


def delay(failures: int, jitter: float, retry_after: float | None) -> float:
    """Seconds to wait before the next try.

    Args:
        failures: Failed tries in a row, at least 1.
        jitter: A random number in [0, 1).
        retry_after: Seconds that the other side asked for; honoured up to an hour.
    """
    ceiling: float = min(CAP, BASE * 2.0 ** min(failures, 30))
    wait = BASE + (ceiling - BASE) * jitter
    return wait if retry_after is None else max(wait, min(retry_after, RETRY_AFTER_CAP))


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After field (RFC 9110 §10.2.3: seconds or a date); None if it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_CAP)
    try:
        when = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):  # all of them seen with made-up dates
        return None
    return min(max(0.0, when - now), RETRY_AFTER_CAP)

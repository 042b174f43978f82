"""The Retry-After field, in both of its forms. Pure: time is passed in."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

LONGEST = 3600.0
"""Seconds; who asks for more is not believed."""


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After field (RFC 9110 §10.2.3: seconds or a date); None if it says nothing.

    Args:
        value: The field's value, None where there is no such field.
        now: Epoch seconds.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST)
    try:
        when = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):  # all of them seen with made-up dates
        return None
    return min(max(0.0, when - now), LONGEST)

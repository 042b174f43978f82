import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tokens.backoff import BASE, CAP, RETRY_AFTER_CAP, delay, parse_retry_after
from tests.tokens.builders import NOW

FAILURES = st.integers(1, 10_000)
JITTER = st.floats(0, 1, exclude_max=True)


@given(failures=FAILURES, jitter=JITTER, retry_after=st.none() | st.floats(0, 1e9))
def test_the_delay_is_bounded(failures: int, jitter: float, retry_after: float | None) -> None:
    """Never less than the base, nor longer than the cap or what the other side asked for, up to an hour."""
    asked = min(retry_after or 0.0, RETRY_AFTER_CAP)
    assert max(BASE, asked) <= delay(failures, jitter, retry_after) <= max(CAP, asked)


@given(failures=FAILURES, jitter=JITTER)
def test_the_delay_grows_with_the_failures(failures: int, jitter: float) -> None:
    """One more failure never makes the wait shorter."""
    assert delay(failures, jitter, None) <= delay(failures + 1, jitter, None)


@given(value=st.none() | st.text() | st.integers().map(str), now=st.floats(0, 1e10))
def test_any_retry_after_gives_a_sane_wait(value: str | None, now: float) -> None:
    """Whatever the field holds: None, or seconds between zero and the cap."""
    wait = parse_retry_after(value, now)
    assert wait is None or 0 <= wait <= RETRY_AFTER_CAP


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0),
        (" 17 ", 17),
        ("0000000017", 17),
        ("9" * 5000, RETRY_AFTER_CAP),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
    ],
)
def test_seconds(value: str | None, wait: float | None) -> None:
    """Digits are seconds, up to the cap; what is no number and no date says nothing."""
    assert parse_retry_after(value, NOW) == wait


@pytest.mark.parametrize(("ahead", "wait"), [(90, 90), (-90, 0), (10**6, RETRY_AFTER_CAP)])
def test_dates(ahead: int, wait: float) -> None:
    """A date is the time until then; one that has passed is no wait."""
    date = format_datetime(datetime.fromtimestamp(NOW + ahead, UTC), usegmt=True)
    assert math.isclose(parse_retry_after(date, NOW) or 0, wait)

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.retry_after import LONGEST, parse_retry_after
from tests.support.clock import NOW


@given(value=st.none() | st.text() | st.integers().map(str), now=st.floats(0, 1e10))
def test_any_retry_after_gives_a_sane_wait(value: str | None, now: float) -> None:
    """Whatever the field holds: None, or seconds between zero and the cap."""
    wait = parse_retry_after(value, now)
    assert wait is None or 0 <= wait <= LONGEST


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
        ("9" * 5000, LONGEST),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
    ],
)
def test_seconds(value: str | None, wait: float | None) -> None:
    """Digits are seconds, up to the cap; what is no number and no date says nothing."""
    assert parse_retry_after(value, NOW) == wait


@pytest.mark.parametrize(("ahead", "wait"), [(90, 90), (-90, 0), (10**6, LONGEST)])
def test_dates(ahead: int, wait: float) -> None:
    """A date is the time until then; one that has passed is no wait."""
    date = format_datetime(datetime.fromtimestamp(NOW + ahead, UTC), usegmt=True)
    assert math.isclose(parse_retry_after(date, NOW) or 0, wait)

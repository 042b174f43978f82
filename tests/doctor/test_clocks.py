from __future__ import annotations

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.doctor.clocks import judge_clocks, seconds_ahead
from jmap_proxy.doctor.finding import Level

seconds = st.integers(1_000_000_000, 3_000_000_000)


@given(seconds, st.integers(-(10**6), 10**6), st.integers(0, 30))
def test_the_difference_is_never_overrated(asked_at: int, ahead: int, took: int) -> None:
    """The server may have written its Date at any moment of the exchange."""
    for written in (asked_at, asked_at + took):
        told = seconds_ahead(formatdate(written - ahead, usegmt=True), asked_at, asked_at + took)
        assert told is not None
        assert abs(told) <= abs(ahead)
        assert abs(told - ahead) <= took


def test_a_server_that_does_not_tell_says_nothing() -> None:
    """No Date, or one that is none."""
    assert seconds_ahead(None, 1, 2) is None
    assert seconds_ahead("yesterday", 1, 2) is None


def test_nothing_is_said_without_a_clock_to_compare_with() -> None:
    """As offline."""
    assert judge_clocks({}) == []


def test_one_clock_that_differs_is_that_server_s() -> None:
    """Ours is wrong only if all say so."""
    (both,) = judge_clocks({"https://a": 90.0, "https://b": 91.0})
    (one,) = judge_clocks({"https://a": -90.0, "https://b": 1.0})
    assert (both.code, both.level, both.what) == (
        "clock",
        Level.ERROR,
        "this machine's clock is 90 s ahead of that of https://a and https://b",
    )
    assert (one.code, one.level) == ("clock-of-server", Level.WARNING)
    assert one.what == "this machine's clock is 90 s behind that of https://a, but agrees with https://b"


def test_a_minute_is_no_fault() -> None:
    """Tokens are renewed that much before their end."""
    assert judge_clocks({"https://a": 60.0})[0].level is Level.OK

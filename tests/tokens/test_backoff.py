from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.retry_after import LONGEST
from jmap_proxy.tokens.backoff import BASE, CAP, COOL_DOWN_CAP, BackOff, CoolDown, delay

FAILURES = st.integers(1, 10_000)
JITTER = st.floats(0, 1, exclude_max=True)


@given(failures=FAILURES, jitter=JITTER, retry_after=st.none() | st.floats(0, 1e9))
def test_the_delay_is_bounded(failures: int, jitter: float, retry_after: float | None) -> None:
    """Never less than the base, nor longer than the cap or what the other side asked for, up to an hour."""
    asked = min(retry_after or 0.0, LONGEST)
    assert max(BASE, asked) <= delay(failures, jitter, retry_after) <= max(CAP, asked)


@given(failures=FAILURES, jitter=JITTER)
def test_the_delay_grows_with_the_failures(failures: int, jitter: float) -> None:
    """One more failure never makes the wait shorter."""
    assert delay(failures, jitter, None) <= delay(failures + 1, jitter, None)


MOMENT = st.floats(0, 4e9)


@given(now=MOMENT, jitter=JITTER, retry_after=st.none() | st.floats(0, 1e9), back=st.floats(0.01, 4e9))
def test_a_wait_does_not_outlast_a_clock_that_steps_back(
    now: float, jitter: float, retry_after: float | None, back: float
) -> None:
    """Nobody waits longer than was meant, however far the clock is set back meanwhile: an hour, too."""
    back_off = BackOff()
    wait = back_off.fail(now, jitter, retry_after)
    assert back_off.holds(now)
    assert not back_off.holds(now + wait)
    assert not back_off.holds(now - back)


@given(now=MOMENT, times=st.integers(1, 9), back=st.floats(0.01, 4e9))
def test_a_cool_down_does_not_outlast_a_clock_that_steps_back(now: float, times: int, back: float) -> None:
    """Nor does the time in which a 401 causes no refresh."""
    cool_down = CoolDown()
    for _ in range(times):
        cool_down.begin(now)
    assert cool_down.seconds <= COOL_DOWN_CAP
    assert cool_down.holds(now)
    assert not cool_down.holds(now + cool_down.seconds + 0.01)
    assert not cool_down.holds(now - back)

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.retry_after import LONGEST
from jmap_proxy.tokens.backoff import BASE, CAP, delay

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

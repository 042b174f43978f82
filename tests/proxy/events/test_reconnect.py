from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.events.reconnect import BASE, CAP, STEADY, Tries
from jmap_proxy.retry_after import LONGEST


def test_the_first_try_is_at_once_and_the_others_take_longer_and_longer() -> None:
    """Up to the cap, and there they stay."""
    tries = Tries()
    waits = [tries.wait(0, 1) for _ in range(100)]
    assert waits[:4] == [0, BASE, 2 * BASE, 4 * BASE]
    assert waits == sorted(waits)
    assert waits[-1] == CAP


def test_a_stream_that_worked_for_a_while_starts_anew() -> None:
    """Then the next try is at once again."""
    tries = Tries()
    for _ in range(10):
        tries.wait(STEADY - 1, 1)
    assert tries.wait(STEADY, 1) == 0
    assert tries.wait(STEADY - 1, 1) == BASE


def test_news_keeps_the_waits_short_but_not_away() -> None:
    """A server that tells one thing a stream is asked soon; one that always has something new makes no storm."""
    tries = Tries()
    assert [tries.wait(0, 1, news=True) for _ in range(4)] == [0, BASE, BASE, BASE]


@given(
    lived=st.floats(0, 100),
    jitter=st.floats(0, 1, exclude_max=True),
    failed=st.integers(0, 50),
    asked=st.none() | st.floats(0, 10 * LONGEST),
    news=st.booleans(),
)
def test_waits_are_bounded(lived: float, jitter: float, failed: int, asked: float | None, *, news: bool) -> None:
    """What the server asks for is honoured, up to an hour; the jitter is full."""
    tries = Tries()
    for _ in range(failed):
        tries.wait(0, 1)
    wait = tries.wait(lived, jitter, news=news, retry_after=asked)
    least = min(asked or 0, LONGEST)
    assert least <= wait <= max(least, CAP * jitter)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.workers.restarts import LONGEST, STEADY, Restarts

LIVES = st.lists(st.floats(0, 2 * STEADY))


def pauses(*lives: float) -> list[float]:
    """After each of these lives."""
    seen, restarts = [], Restarts()
    for lived in lives:
        restarts = restarts.after(lived)
        seen.append(restarts.pause)
    return seen


def test_who_ends_early_again_and_again_is_started_less_and_less_often() -> None:
    """But again and again."""
    assert pauses(*[1.0] * 8) == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST, LONGEST]
    assert pauses(*[1.0] * 2000)[-1] == LONGEST


def test_who_has_lived_long_is_replaced_at_once() -> None:
    """Whatever was before."""
    assert pauses(1.0, 1.0, 1.0, STEADY, 1.0, 1.0) == [0.0, 1.0, 2.0, 0.0, 0.0, 1.0]


@given(LIVES)
def test_a_pause_is_never_longer_than_the_longest(lives: list[float]) -> None:
    """Whatever the lives."""
    assert all(0.0 <= pause <= LONGEST for pause in pauses(*lives))

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tokens.losses import DAY, Loss, likely_cause, likely_end, regular_life, with_loss


def losses(*days: float) -> list[Loss]:
    """Sign-ins that have lived so many days, one after the other."""
    begun, known = 1e9, []
    for life in days:
        known.append(Loss(begun, begun + life * DAY))
        begun += life * DAY + 3600
    return known


@pytest.mark.parametrize("days", [(), (7,), (7, 30), (7, 7, 30), (0.001, 0.001)])
def test_without_regularity_nothing_is_said(days: tuple[float, ...]) -> None:
    """One loss is no regularity, nor are lives of different length, nor ones that were cut short by something else."""
    assert (regular_life(losses(*days)), likely_cause(losses(*days))) == (None, "")


def test_a_sign_in_of_unknown_age_is_no_evidence() -> None:
    """Stored by a program that did not know the time of the sign-in."""
    assert likely_cause([Loss(0.0, 7 * DAY), Loss(0.0, 7 * DAY)]) == ""


@pytest.mark.parametrize(
    ("days", "cause"),
    [
        ((7, 7), "testing mode"),
        ((30, 7.1, 6.9), "testing mode"),
        ((30, 30), "after 30 days"),
        ((0.5, 0.5), "after 12 hours"),
    ],
)
def test_a_regular_end_is_explained(days: tuple[float, ...], cause: str) -> None:
    """By what is known of providers."""
    if days[0] != 30 or days[-1] == 30:
        assert cause in likely_cause(losses(*days))


@given(st.lists(st.tuples(st.floats(0, 1e10), st.floats(0, 1e10)).map(lambda pair: Loss(*pair))))
def test_any_history_can_be_looked_at(known: list[Loss]) -> None:
    """Clocks that were set make odd times."""
    life = regular_life(known)
    assert life is None or life > 0
    assert isinstance(likely_cause(known), str)


def test_a_loss_that_several_notice_is_one() -> None:
    """Each process that is refused notes it."""
    (loss,) = losses(7)
    known = with_loss(with_loss([], loss), Loss(loss.signed_in_at, loss.lost_at + 5))
    assert known == [loss]
    assert likely_cause(known) == ""


def test_the_next_end_is_foretold() -> None:
    """A sign-in lives as long as those before it."""
    known, begun = losses(7, 7), 2e9
    assert likely_end(known, begun, begun) == begun + 7 * DAY
    assert likely_end(known, begun, begun + 6.9 * DAY) == begun + 7 * DAY


@pytest.mark.parametrize(
    ("known", "signed_in_at", "now"),
    [
        (losses(7), 2e9, 2e9),
        (losses(7, 30), 2e9, 2e9),
        (losses(7, 7), 0.0, 0.0),
        (losses(7, 7), losses(7, 7)[-1].signed_in_at, 1e9),
        (losses(7, 7), 2e9, 2e9 + 7 * DAY),
        (losses(1e6, 1e6), 253402300000.0, 2e9),
    ],
    ids=["one loss", "no regularity", "age unknown", "lost itself", "outlived", "after all calendars"],
)
def test_what_nothing_speaks_for_is_not_foretold(known: list[Loss], signed_in_at: float, now: float) -> None:
    """Nor what has not come true."""
    assert likely_end(known, signed_in_at, now) is None


@given(
    st.lists(st.tuples(st.floats(0, 1e10), st.floats(0, 1e10)).map(lambda pair: Loss(*pair))),
    st.floats(0, 1e11),
    st.floats(0, 1e11),
)
def test_a_foretold_end_is_a_moment_to_come(known: list[Loss], signed_in_at: float, now: float) -> None:
    """Whatever the times are."""
    end = likely_end(known, signed_in_at, now)
    assert end is None or end > now

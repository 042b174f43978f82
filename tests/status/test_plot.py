from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.status.plot import HEIGHT, WIDTH, plot

MINUTES = st.lists(
    st.integers(0, 10**6).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most))), min_size=1, max_size=60
)


@given(MINUTES)
def test_every_bar_is_inside_the_picture(minutes: list[tuple[int, int]]) -> None:
    """Whatever the counts, nothing is drawn outside, and what happened can be seen."""
    drawn = plot(minutes)
    for bar in drawn.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH
        assert bar.y >= 0
        assert bar.height >= 2
        assert bar.y + bar.height <= HEIGHT + 0.01
    assert len(drawn.bars) == sum((errors > 0) + (requests > errors) for requests, errors in minutes)


def test_the_picture_is_told_in_words() -> None:
    """Somebody who cannot see it learns the same."""
    assert plot([(0, 0)] * 60).summary == "No requests."
    assert plot([]).summary == "No requests."
    assert plot([(1, 0), (0, 0)]).summary == "1 request, none failed; at most 1 in a minute."
    assert plot([(3, 1), (5, 1)]).summary == "8 requests, 2 failed; at most 5 in a minute."


def test_the_highest_minute_is_the_highest_bar() -> None:
    """Heights are in proportion to the counts, failures at the bottom."""
    low, failed, well = plot([(5, 0), (10, 5)]).bars
    assert (failed.kind, well.kind) == ("failed", "well")
    assert low.height == failed.height == well.height
    assert well.y + well.height == failed.y

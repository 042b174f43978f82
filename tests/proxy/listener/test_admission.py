from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.listener.admission import Admission
from tests.support.clock import Clock

PATIENCE = 10.0


@dataclass(eq=False)
class Visit:
    """A connection that notes what is done to it."""

    ended: str = ""

    def end_late(self) -> None:
        """Note it."""
        self.ended = "late"

    def drop(self) -> None:
        """Note it."""
        self.ended = "dropped"


def test_heads_have_their_time() -> None:
    """From the opening of a connection, and from the first byte of a later head; between two requests none runs."""
    clock = Clock(0)
    admission = Admission(9, PATIENCE, clock)
    silent, idle, slow = Visit(), Visit(), Visit()
    assert all(map(admission.enter, (silent, idle, slow)))
    admission.head_came(idle)
    admission.head_came(slow)
    clock.now = 5
    admission.head_begun(slow)
    clock.now = 9.9
    assert admission.end_late() == 0
    clock.now = 10
    assert admission.end_late() == 1
    assert (silent.ended, idle.ended, slow.ended) == ("late", "", "")
    clock.now = 15
    assert admission.end_late() == 1
    assert (idle.ended, slow.ended) == ("", "late")
    assert admission.end_late() == 0


def _entered(admission: Admission, number: int) -> list[Visit]:
    visits = [Visit() for _ in range(number)]
    assert all(map(admission.enter, visits))
    return visits


def test_the_longest_waiting_newcomer_makes_room_first() -> None:
    """It has shown nothing yet; who has sent a request stays, however long that was ago."""
    admission = Admission(3, PATIENCE, Clock(0))
    known, first, second = _entered(admission, 3)
    admission.head_came(known)
    admission.rest(known)
    assert admission.enter(Visit())
    assert (known.ended, first.ended, second.ended) == ("", "dropped", "")


def test_newcomers_are_left_their_share() -> None:
    """Where there are few of them, it is the one that has rested longest; who is at work is left alone."""
    admission = Admission(8, PATIENCE, Clock(0))
    *known, newcomer, last = _entered(admission, 8)
    for visit in known:
        admission.head_came(visit)
    for visit in reversed(known[1:]):
        admission.rest(visit)
    admission.head_came(known[-1])  # at work again
    assert admission.enter(Visit())
    assert [visit.ended for visit in known] == ["", "", "", "", "dropped", ""]
    assert admission.enter(Visit())
    assert (known[3].ended, newcomer.ended, last.ended) == ("", "dropped", "")


def test_newcomers_make_room_where_nobody_rests() -> None:
    """However few they are."""
    admission = Admission(8, PATIENCE, Clock(0))
    *known, newcomer = _entered(admission, 8)
    for visit in known:
        admission.head_came(visit)
    assert admission.enter(Visit())
    assert newcomer.ended == "dropped"


def test_those_at_work_are_left_alone() -> None:
    """If all are, the new one has to wait, until one leaves."""
    admission = Admission(1, PATIENCE, Clock(0))
    busy, new = Visit(), Visit()
    assert admission.enter(busy)
    admission.head_came(busy)
    assert not admission.enter(new)
    admission.leave(new)
    assert not admission.enter(new)
    admission.leave(busy)
    assert admission.enter(new)
    assert busy.ended == ""


@given(
    most=st.integers(1, 4),
    steps=st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "head_begun", "head_came", "rest", "later"]), st.integers(0, 7))
    ),
)
def test_never_more_than_there_are_places(most: int, steps: list[tuple[str, int]]) -> None:
    """Whatever comes in whatever order, the places are kept count of, and whoever is ended is out."""
    clock = Clock(0)
    admission = Admission(most, PATIENCE, clock)
    inside: dict[int, Visit] = {}
    for step, number in steps:
        visit = inside.get(number)
        if step == "later":
            clock.now += 4
            admission.end_late()
            for late in [visit for visit in inside.values() if visit.ended]:
                admission.leave(late)
        elif step == "enter" and visit is None:
            new = Visit()
            if admission.enter(new):
                inside[number] = new
        elif step != "enter" and visit is not None:
            getattr(admission, step)(visit)
            if step == "leave":
                del inside[number]
        inside = {number: visit for number, visit in inside.items() if not visit.ended}
        assert len(admission) == len(inside) <= most

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.workers.combined import WORSE, combined_reports, combined_streams
from jmap_proxy.tokens.report import State, TokenReport

REPORT = st.builds(TokenReport, state=st.sampled_from(State), expires_at=st.none() | st.floats(0, 1e9))
REPORTS = st.dictionaries(st.sampled_from(["alice", "bob", "carol"]), REPORT)


def report(state: State, expires_at: float | None = None, generation: int = 0) -> TokenReport:
    """A report."""
    return TokenReport(state=state, expires_at=expires_at, generation=generation)


def test_what_one_process_cannot_do_shows() -> None:
    """Though the others have not found out yet."""
    ok, lost = report(State.OK, 2000.0), report(State.NEEDS_LOGIN, 1000.0)
    assert combined_reports({"a": ok}, [{"a": ok}, {"a": lost}]) == {"a": lost}


def test_of_equals_the_one_with_the_latest_tokens_is_told() -> None:
    """The others have not looked yet."""
    old, new = report(State.OK, 1000.0, 1), report(State.OK, 2000.0, 2)
    assert combined_reports({"a": old}, [{"a": new}, {"a": old}]) == {"a": new}
    assert combined_reports({"a": old}, []) == {"a": old}


def test_the_order_knows_all_states() -> None:
    """Each once."""
    assert sorted(WORSE, key=str) == sorted(State, key=str)


@given(own=REPORTS, told=st.lists(REPORTS))
def test_the_supervisors_accounts_are_told_of(own: dict[str, TokenReport], told: list[dict[str, TokenReport]]) -> None:
    """In its order, none else, and none does better than with the supervisor."""
    combined = combined_reports(own, told)
    assert list(combined) == list(own)
    assert all(WORSE.index(combined[name].state) >= WORSE.index(own[name].state) for name in own)


def test_streams_are_added_up() -> None:
    """By account and kind."""
    told = [(("a", "events", 2), ("a", "websocket", 1)), (("a", "events", 3),), ()]
    assert combined_streams(told) == {("a", "events"): 5, ("a", "websocket"): 1}

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import KeyRefused, SignInNeeded, TokenDelayed
from jmap_proxy.status.traffic import BOUNDS, KINDS, MINUTES, MOST_TROUBLES, Minute, Traffic, outcome_name
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient
from tests.support.clock import Clock

MOMENTS = st.floats(0, 4e9, allow_nan=False)


def test_requests_are_counted_by_kind_and_status() -> None:
    """With the time until their answer began; a kind that is not told apart is another one."""
    traffic = Traffic(lambda: 0.0)
    for kind, status, seconds in (("api", 200, 0.004), ("api", 200, 0.006), ("api", 503, 99.0), ("call", 200, 0.005)):
        traffic.answered(kind, status, seconds)
    api = traffic.tallies["api"]
    assert api.statuses == {200: 2, 503: 1}
    assert api.seconds == pytest.approx(99.01)
    assert list(api.cumulative()) == [(0.005, 1), *((bound, 2) for bound in BOUNDS[1:]), (float("inf"), 3)]
    assert traffic.tallies["other"].statuses == {200: 1}
    assert next(traffic.tallies["other"].cumulative()) == (0.005, 1)
    assert tuple(traffic.tallies) == KINDS == ("session", "api", "upload", "download", "events", "websocket", "other")


def test_the_last_hour_minute_by_minute() -> None:
    """Sixty minutes, the current one last; what is older is forgotten, and 4xx and 5xx are errors."""
    clock = Clock()
    traffic = Traffic(clock)
    for status in (200, 399, 400, 503):
        traffic.answered("api", status, 0.1)
    assert traffic.minutes() == [*[Minute()] * (MINUTES - 1), Minute(4, 2)]
    clock.now += 60 * (MINUTES - 1)
    traffic.answered("api", 200, 0.1)
    assert traffic.minutes() == [Minute(4, 2), *[Minute()] * (MINUTES - 2), Minute(1, 0)]
    clock.now += 60
    assert traffic.minutes() == [*[Minute()] * (MINUTES - 2), Minute(1, 0), Minute()]
    traffic.answered("api", 404, 0.1)
    assert traffic.minutes()[-2:] == [Minute(1, 0), Minute(1, 1)]


@given(st.lists(st.tuples(MOMENTS, st.sampled_from([200, 500])), min_size=1, max_size=80))
def test_whatever_the_clock_does_the_hour_is_an_hour(answers: list[tuple[float, int]]) -> None:
    """Set back or forward: sixty minutes, what has just happened is in the last one, and nothing is counted twice."""
    clock = Clock()
    traffic = Traffic(clock)
    for number, (now, status) in enumerate(answers, 1):
        clock.now = now
        before = traffic.minutes()[-1]
        traffic.answered("api", status, 0.1)
        minutes = traffic.minutes()
        assert len(minutes) == MINUTES
        assert minutes[-1] == Minute(before.requests + 1, before.errors + (status == 500))
        assert sum(minute.requests for minute in minutes) <= number
        assert all(minute.errors <= minute.requests for minute in minutes)


def test_a_clock_that_was_set_back_shows_no_future() -> None:
    """What it calls the future is left out."""
    clock = Clock()
    traffic = Traffic(clock)
    traffic.answered("api", 200, 0.1)
    clock.now -= 7200
    assert traffic.minutes() == [Minute()] * MINUTES


def test_errors_are_kept_for_each_account() -> None:
    """The last twenty of each, the newest first; one account's do not push out another's."""
    clock = Clock()
    traffic = Traffic(clock)
    began = clock.now
    traffic.failed("bob", SignInNeeded("bob", "the grant is gone"), "b0b")
    for number in range(MOST_TROUBLES + 5):
        clock.now += 1
        traffic.failed("alice", TokenDelayed(f"try {number}", hint="wait"), str(number))
    troubles = traffic.troubles()
    assert [trouble.account for trouble in troubles] == ["alice"] * MOST_TROUBLES + ["bob"]
    assert [trouble.request_id for trouble in troubles[:3]] == ["24", "23", "22"]
    last = troubles[-1]
    assert (last.at, last.code, last.mend, last.request_id) == (
        began,
        "sign-in-needed",
        "run: jmap-proxy login bob",
        "b0b",
    )


def test_an_error_that_comes_again_and_again_is_kept_once() -> None:
    """A client that asks each second leaves room for what else went wrong; the last time and request are told."""
    clock = Clock()
    traffic = Traffic(clock)
    traffic.failed("", KeyRefused("no key", hint="give one"), "first")
    for number in range(100):
        clock.now += 1
        traffic.failed("alice", SignInNeeded("alice", "gone"), f"r{number}")
        traffic.failed("alice", TokenDelayed("slow"), f"s{number}")
    told = [(trouble.code, trouble.times, trouble.request_id, trouble.at) for trouble in traffic.troubles()]
    assert sorted(told[:2]) == [
        ("sign-in-needed", 100, "r99", clock.now),
        ("token-delayed", 100, "s99", clock.now),
    ]
    assert told[2][:3] == ("key-refused", 1, "first")


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Refreshed("a", "r", 60.0), "refreshed"),
        (Rejected("invalid_grant"), "rejected"),
        (Transient("500"), "transient"),
        (Transient("no answer", answer_lost=True), "answer_lost"),
        (Transient("invalid_client", client_refused=True), "client_refused"),
    ],
)
def test_refreshes_are_counted_by_what_they_came_to(outcome: Outcome, name: str) -> None:
    """Each account for itself."""
    traffic = Traffic(lambda: 0.0)
    traffic.refreshed("alice", outcome)
    traffic.refreshed("alice", outcome)
    traffic.refreshed("bob", Refreshed("a", "r", 60.0))
    assert traffic.refreshes["alice", name] == 2
    assert outcome_name(outcome) == name
    assert traffic.refreshes["bob", "refreshed"] == 1


ANSWERS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(100, 599), st.floats(0, 20), st.integers(0, 2)))
"""Kind, status and seconds, and which of three processes counted it."""


@given(answers=ANSWERS, handed=st.lists(st.integers(0, 2)))
def test_what_several_processes_count_is_what_one_would(
    answers: list[tuple[str, int, float, int]], handed: list[int]
) -> None:
    """However often each of them hands over what it has counted, and in whatever order."""
    clock = Clock()
    alone, together, workers = Traffic(clock), Traffic(clock), [Traffic(clock) for _ in range(3)]
    for kind, status, seconds, worker in answers:
        for traffic in (alone, workers[worker]):
            traffic.answered(kind, status, seconds)
            traffic.refreshed(kind, Rejected("x"))
        clock.now += 20.0
        if handed:
            together.add(workers[handed.pop()].hand_over())
    for traffic in workers:
        together.add(traffic.hand_over())
    for kind in KINDS:
        assert together.tallies[kind].statuses == alone.tallies[kind].statuses
        assert together.tallies[kind].buckets == alone.tallies[kind].buckets
        assert together.tallies[kind].seconds == pytest.approx(alone.tallies[kind].seconds)
    assert together.refreshes == alone.refreshes
    if len(answers) < MINUTES:  # else what is handed over late can be older than an hour
        assert together.minutes() == alone.minutes()


def test_errors_that_are_handed_over() -> None:
    """Are added to those that are known, with how often they came."""
    clock = Clock()
    together, worker = Traffic(clock), Traffic(clock)
    for traffic in (together, worker, worker):
        clock.now += 1
        traffic.failed("alice", KeyRefused("wrong"), str(clock.now))
    worker.failed("bob", SignInNeeded("bob", "gone"), "1")
    together.add(worker.hand_over())
    assert {trouble.account: trouble.times for trouble in together.troubles()} == {"alice": 3, "bob": 1}
    assert together.troubles()[0].at == clock.now
    assert worker.troubles() == []
    assert worker.hand_over() == Traffic(clock).hand_over()

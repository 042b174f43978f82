"""What has gone through the proxy: counts for `/metrics`, the last hour and the last errors for the status page. Pure.

Counting is a few additions to plain numbers; whatever costs more is done when somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from jmap_proxy.proxy.passage import OTHER, SESSION
from jmap_proxy.proxy.session.endpoint import Kind
from jmap_proxy.tokens.outcome import Refreshed, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jmap_proxy.errors import JmapProxyError
    from jmap_proxy.tokens.outcome import Outcome

KINDS = (
    SESSION,
    *(kind.value for kind in (Kind.API, Kind.UPLOAD, Kind.DOWNLOAD, Kind.EVENTS, Kind.WEBSOCKET)),
    OTHER,
)
"""What requests are for; the rare kinds count as "other"."""

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; the upper ends of the histogram's buckets, but for the last one, which has none."""

OUTCOMES = ("refreshed", "rejected", "client_refused", "answer_lost", "transient")

MINUTES = 60

MOST_TROUBLES = 20
"""Errors that are kept for each account."""

ERROR = 400
"""The lowest status that tells the client of an error."""


@dataclass(frozen=True, slots=True)
class Minute:
    """All requests that were answered in a minute, and those of them that got an error (4xx or 5xx)."""

    requests: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error that clients were told of; one that comes again and again is kept once.

    Attributes:
        at: Epoch seconds, of the last time.
        account: "" if it is not known whose request it was.
        mend: What mends it, "" if nothing is known to.
        request_id: Of the last time, by which the log knows it.
        times: How often it came in a row of which no other 20 errors were in between.
    """

    at: float
    account: str
    code: str
    detail: str
    mend: str
    request_id: str
    times: int = 1


class Counts(msgspec.Struct, frozen=True):
    """What one process has counted, to be added up by another one.

    Attributes:
        tallies: By kind: statuses, buckets and seconds of a `Tally`.
        refreshes: Account, outcome, and how often.
        minutes: Of the last hour: minutes since the epoch, requests and errors.
        troubles: The last errors.
    """

    tallies: dict[str, tuple[dict[int, int], list[int], float]] = {}
    refreshes: tuple[tuple[str, str, int], ...] = ()
    minutes: tuple[tuple[int, int, int], ...] = ()
    troubles: tuple[Trouble, ...] = ()


class Tally:
    """The answers to requests of one kind.

    Attributes:
        statuses: How many had which status.
        buckets: How many began in which bucket of `BOUNDS`; the last one is for those that took longer.
        seconds: Until they began, all together.
    """

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def add_all(self, statuses: Mapping[int, int], buckets: Iterable[int], seconds: float) -> None:
        """Count what was counted elsewhere."""
        for status, count in statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.buckets = [ours + theirs for ours, theirs in zip(self.buckets, buckets, strict=True)]
        self.seconds += seconds

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """The upper end of each bucket, and how many answers began by then."""
        return zip((*BOUNDS, float("inf")), accumulate(self.buckets), strict=True)


class Traffic:
    """What has gone through since the start. An `Observer` of the forwarding plane.

    Args:
        clock: Epoch seconds; may be set back or forward at any time.

    Attributes:
        tallies: By kind, all of `KINDS`.
        refreshes: How often a refresh of an account came to an outcome, by both.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self.tallies = {kind: Tally() for kind in KINDS}
        self.refreshes: dict[tuple[str, str], int] = {}
        self._ring = [(-1, 0, 0)] * MINUTES  # a minute since the epoch, its requests and errors
        self._troubles: dict[str, list[Trouble]] = {}

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """Count a request that is being answered."""
        (self.tallies.get(kind) or self.tallies[OTHER]).add(status, seconds)
        minute = int(self._clock() // 60)  # as `_note` does, without the call: this is done for each request
        place = minute % MINUTES
        noted, requests, errors = self._ring[place]
        if noted != minute:
            requests = errors = 0
        self._ring[place] = minute, requests + 1, errors + (status >= ERROR)

    def failed(self, account: str, error: JmapProxyError, request_id: str) -> None:
        """Remember an error that a client was told of."""
        self._remember(Trouble(self._clock(), account, error.code, error.detail, error.hint, request_id))

    def refreshed(self, account: str, outcome: Outcome) -> None:
        """Count what a refresh came to."""
        key = account, outcome_name(outcome)
        self.refreshes[key] = self.refreshes.get(key, 0) + 1

    def hand_over(self) -> Counts:
        """What was counted since the last time, to be added up by another process; here it begins anew."""
        counts = Counts(
            {kind: (each.statuses, each.buckets, each.seconds) for kind, each in self.tallies.items() if each.statuses},
            tuple((account, outcome, count) for (account, outcome), count in self.refreshes.items()),
            tuple(each for each in self._ring if each[1]),
            tuple(reversed(self.troubles())),
        )
        self._begin()
        return counts

    def add(self, counts: Counts) -> None:
        """Count what another process has handed over."""
        for kind, tally in counts.tallies.items():
            (self.tallies.get(kind) or self.tallies[OTHER]).add_all(*tally)
        for account, outcome, count in counts.refreshes:
            self.refreshes[account, outcome] = self.refreshes.get((account, outcome), 0) + count
        for minute in counts.minutes:
            self._note(*minute)
        for trouble in counts.troubles:
            self._remember(trouble)

    def _note(self, minute: int, requests: int, errors: int) -> None:
        noted, before, errors_before = self._ring[minute % MINUTES]
        if noted != minute:
            before = errors_before = 0
        self._ring[minute % MINUTES] = minute, before + requests, errors_before + errors

    def _remember(self, trouble: Trouble) -> None:
        others = []
        for each in self._troubles.get(trouble.account, ()):
            if (each.code, each.detail) == (trouble.code, trouble.detail):
                trouble = replace(trouble, times=each.times + trouble.times)
            else:
                others.append(each)
        self._troubles[trouble.account] = [*others, trouble][-MOST_TROUBLES:]

    def minutes(self) -> list[Minute]:
        """The last hour, the oldest minute first; what a clock that was set back calls the future is left out."""
        now = int(self._clock() // 60)
        noted = {minute: Minute(requests, errors) for minute, requests, errors in self._ring}
        return [noted.get(minute, Minute()) for minute in range(now - MINUTES + 1, now + 1)]

    def troubles(self) -> list[Trouble]:
        """The last errors of all accounts, the newest first."""
        every = [trouble for troubles in self._troubles.values() for trouble in troubles]
        return sorted(every, key=lambda trouble: trouble.at, reverse=True)


def outcome_name(outcome: Outcome) -> str:
    """One of `OUTCOMES`."""
    if isinstance(outcome, Refreshed):
        return "refreshed"
    if isinstance(outcome, Rejected):
        return "rejected"
    if outcome.client_refused:
        return "client_refused"
    return "answer_lost" if outcome.answer_lost else "transient"


def with_zeros(refreshes: Mapping[tuple[str, str], int], accounts: Mapping[str, object]) -> dict[tuple[str, str], int]:
    """The counts, and 0 for each outcome that an account has not had: a rate is known from the first one on."""
    return {(account, outcome): 0 for account in accounts for outcome in OUTCOMES} | dict(refreshes)

"""One view of what several processes tell. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jmap_proxy.tokens.report import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jmap_proxy.tokens.report import TokenReport

    Reports = Mapping[str, TokenReport]
    OpenStreams = Mapping[tuple[str, str], int]

WORSE = (
    State.OK,
    State.RETRYING,
    State.UNSAVED,
    State.CLIENT_REFUSED,
    State.STORE_ERROR,
    State.NEEDS_LOGIN,
)
"""Each is worse than the one before."""


def combined_reports(own: Reports, told: Iterable[Reports]) -> dict[str, TokenReport]:
    """How each account is doing: as the process says that does worst, and of those the one with the latest tokens.

    Requests come to all of them, so what one cannot do must show. One that did not need the token yet does not know
    what is wrong; one that has not looked yet does not know the latest tokens.

    Args:
        own: Of the supervisor; whose accounts are told of, in that order.
        told: Of the workers.
    """
    every = [own, *told]
    return {name: max((each[name] for each in every if name in each), key=_weight) for name in own}


def combined_streams(told: Iterable[Iterable[tuple[str, str, int]]]) -> OpenStreams:
    """How many streams are open, by account and kind."""
    streams: Counter[tuple[str, str]] = Counter()
    for each in told:
        for account, kind, number in each:
            streams[account, kind] += number
    return streams


def _weight(report: TokenReport) -> tuple[int, float, int]:
    return WORSE.index(report.state), report.expires_at or 0.0, report.generation

"""The small plot of the last hour's requests: counts in, rectangles out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH = 600
HEIGHT = 100
GAP = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in units of the plot; `kind` is "well" or "failed"."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn, and the same in words."""

    summary: str
    bars: tuple[Bar, ...]
    width: int = WIDTH
    height: int = HEIGHT


def plot(minutes: Sequence[tuple[int, int]]) -> Plot:
    """Draw the minutes.

    Args:
        minutes: All requests and those of them that failed, minute by minute, the oldest first.
    """
    total, failed = sum(each[0] for each in minutes), sum(each[1] for each in minutes)
    most = max((each[0] for each in minutes), default=0)
    if not total:
        return Plot("No requests.", ())
    told = f"{total} request{'s' if total > 1 else ''}, {failed or 'none'} failed; at most {most} in a minute."
    return Plot(told, tuple(_bars(minutes, most)))


def _bars(minutes: Sequence[tuple[int, int]], most: int) -> Iterator[Bar]:
    """What failed stands on the ground, the rest on it; a count that is not 0 can be seen."""
    step = WIDTH / len(minutes)
    for place, (requests, errors) in enumerate(minutes):
        ground = float(HEIGHT)
        for kind, count in (("failed", errors), ("well", requests - errors)):
            if count > 0:
                height = round(max(2.0, count / most * (HEIGHT - 4)), 2)
                ground = round(ground - height, 2)
                yield Bar(kind, round(place * step, 2), ground, round(step - GAP, 2), height)

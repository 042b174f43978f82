"""The page of the documentation, as far as it is written by `make bench` and `make profile`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.results import OURS
from bench.table import names_of, ratio_shown, shown
from bench.targets import target_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.results import Results

MEASURED = "measured"
PROFILE = "profile"
"""Names of the blocks that are written."""


def with_block(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with these lines between those that begin and end the block with that name.

    Raises:
        ValueError: it has no place for that.
    """
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"the page has no lines {first} and {last}")
    return "\n".join([f"{before}{first}", *lines, f"{last}{after}"])


def measured_lines(results: Results, told: Mapping[str, str]) -> list[str]:
    """What was measured, and on what: the targets first, then all of it."""
    machine = ", ".join(f"{name} {value}" for name, value in told.items())
    return [
        *target_lines(results), "", f"Measured with {machine}.", "",
        "All that was measured: our value, and ours / theirs.", "", *_all_lines(results),
    ]  # fmt: skip


def _all_lines(results: Results) -> list[str]:
    others = [name for name in names_of(results) if name != OURS]
    lines = [f"| work | measure | {OURS} | {' | '.join(others)} |", "|---" * (3 + len(others)) + "|"]
    for work, measure in results.values:
        cells = [work, measure.name, shown(results.median(work, measure, OURS), measure)]
        cells += [ratio_shown(results.ratio(work, measure, name)) for name in others]
        lines.append(f"| {' | '.join(cells)} |")
    return lines

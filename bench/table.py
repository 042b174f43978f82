"""The results as a table of ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from bench.results import OURS

if TYPE_CHECKING:
    from bench.results import Measure, Ratio, Results


LONG = 0.1
"""Seconds from which on a time is shown in seconds."""


def table_of(results: Results) -> Table:
    """One line for each thing that was measured: our own value, and ours by theirs (lowest and highest round)."""
    others = [name for name in names_of(results) if name != OURS]
    table = Table("work", "measure", OURS, *(f"/ {name}" for name in others), title="ours / theirs, medians of rounds")
    for work, measure in results.values:
        ratios = [ratio_shown(results.ratio(work, measure, name)) for name in others]
        table.add_row(work, measure.name, shown(results.median(work, measure, OURS), measure), *ratios)
    return table


def shown(value: float | None, measure: Measure) -> str:
    """A value with its unit."""
    if value is None:
        return ""
    if measure.unit == "s":
        return f"{1e6 * value:,.0f} µs" if value < LONG else f"{value:,.2f} s"
    return f"{value:,.0f} {measure.unit}" if measure.unit else f"{value:.2f}"


def ratio_shown(ratio: Ratio | None) -> str:
    """A ratio with its spread; nothing where there is none."""
    return "" if ratio is None else f"{ratio.middle:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def names_of(results: Results) -> list[str]:
    """The proxies."""
    return list(dict.fromkeys(name for proxies in results.values.values() for name in proxies))

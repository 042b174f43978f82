"""The targets, and what was measured for each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.results import COUNT, GAIN, MEMORY, OURS, P50, P99, RATE, RATIO, THROUGHPUT, Measure
from bench.table import ratio_shown

if TYPE_CHECKING:
    from bench.results import Results


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for a ratio, or for a value of ours where there is nobody to compare with.

    Attributes:
        work: Beginning of its name.
        measure: What of it.
        limit: Of the value.
        proxy: The other one, "" for none.
    """

    work: str
    measure: Measure
    limit: float
    proxy: str = ""

    def measured(self, results: Results) -> tuple[float, str] | None:
        """The value, and how it is shown; None if it was not measured."""
        for work, measure in results.values:
            if measure != self.measure or not work.startswith(self.work):
                continue
            if self.proxy:
                ratio = results.ratio(work, measure, self.proxy)
                if ratio is None:
                    return None
                return ratio.middle, ratio_shown(ratio)
            value = results.median(work, measure, OURS)
            return None if value is None else (value, f"{value:.2f}")
        return None

    def is_met(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return value >= self.limit if self.measure.more_is_better else value <= self.limit

    @property
    def shown(self) -> str:
        """The limit as it is written."""
        sign, of = "≥" if self.measure.more_is_better else "≤", f" times {self.proxy}" if self.proxy else ""
        return f"{sign} {self.limit:g}{of}"


TARGETS = (
    Target("API call, http, 16 ", RATE, 1.25, "caddy"),
    Target("API call, http, 16 ", RATE, 0.5, "nginx"),
    Target("API call, http, 16 ", RATE, 12, "mitmproxy"),
    Target("API call, https, 16 ", RATE, 1.0, "caddy"),
    Target("API call, http, 16 ", P99, 1.0, "caddy"),
    Target("API call, http, 1 ", P50, 1.1, "caddy"),
    Target("download", THROUGHPUT, 1.0, "caddy"),
    Target("upload", THROUGHPUT, 0.8, "caddy"),
    Target("event stream", MEMORY, 0.35, "caddy"),
    Target("500 callers at expiry", COUNT, 1),
    Target("500 callers at expiry: last answer", RATIO, 1.2),
    Target("ensure_valid_token()", RATIO, 3),
    Target("processor time of a request, 1,000 accounts", RATIO, 1.05),
    Target("2 workers / 1", GAIN, 1.7),
)


def target_lines(results: Results) -> list[str]:
    """A table in Markdown: each target with what was measured."""
    lines = ["| work | measure | target | measured | met |", "|---|---|---|---|---|"]
    for target in TARGETS:
        found = target.measured(results)
        shown, met = (
            ("not measured", "") if found is None else (found[1], "yes" if target.is_met(found[0]) else "**no**")
        )
        work = target.work.strip(", ")
        lines.append(f"| {work} | {target.measure.name} | {target.shown} | {shown} | {met} |")
    return lines

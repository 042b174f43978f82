"""What was measured, and the ratios that are made of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

OURS = "jmap-proxy"


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured.

    Attributes:
        name: Of it.
        unit: Of its values.
        more_is_better: Whether a larger value is the better one.
    """

    name: str
    unit: str
    more_is_better: bool


RATE = Measure("requests", "1/s", True)
P50 = Measure("p50", "s", False)
P99 = Measure("p99", "s", False)
THROUGHPUT = Measure("throughput", "MB/s", True)
MEMORY = Measure("memory", "KiB", False)
DELAY = Measure("delay", "s", False)
START = Measure("start", "s", False)
COST = Measure("processor time", "s", False)
RATIO = Measure("ratio", "", False)
GAIN = Measure("gain", "", True)
COUNT = Measure("token requests", "", False)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours by theirs, round by round.

    Attributes:
        middle: The median of all rounds.
        low: The smallest one.
        high: The largest one.
    """

    middle: float
    low: float
    high: float


@dataclass(slots=True)
class Results:
    """The values of each proxy, in the order of the rounds, by what was to be done and what was measured."""

    values: dict[tuple[str, Measure], dict[str, list[float]]] = field(default_factory=dict)

    def add(self, work: str, measure: Measure, proxy: str, value: float) -> None:
        """Note a value of one round."""
        self.values.setdefault((work, measure), {}).setdefault(proxy, []).append(value)

    def median(self, work: str, measure: Measure, proxy: str) -> float | None:
        """The middle value, None where there is none."""
        values = self.values.get((work, measure), {}).get(proxy)
        return median(values) if values else None

    def ratio(self, work: str, measure: Measure, proxy: str) -> Ratio | None:
        """Ours by theirs; None where one of them is missing. The rounds of both took turns, so each is a fair pair."""
        values = self.values.get((work, measure), {})
        ratios = [ours / theirs for ours, theirs in zip(values.get(OURS, ()), values.get(proxy, ()), strict=False)]
        return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None

    def as_json(self) -> list[dict[str, Any]]:
        """All of it, for a file."""
        return [
            {"work": work, "measure": measure.name, "unit": measure.unit, "proxy": proxy, "rounds": values}
            for (work, measure), proxies in self.values.items()
            for proxy, values in proxies.items()
        ]

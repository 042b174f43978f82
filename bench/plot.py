"""The results as a picture: a row for each thing that was measured, a dot for each proxy. Pure."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from bench.results import OURS

if TYPE_CHECKING:
    from bench.results import Measure, Results

COLOURS = {
    "caddy": "#0072b2",
    "nginx": "#009e73",
    "haproxy": "#d55e00",
    "mitmproxy": "#cc79a7",
    "plain aiohttp": "#767676",
}
"""Told apart by people who see few colours too (Okabe and Ito)."""

LEFT, RIGHT, TOP, ROW = 420, 900, 70, 20
LOW, HIGH = 1 / 32, 32.0
"""The ends of the scale; what is beyond stands at its end."""


def svg_of(results: Results) -> str:
    """How many times better we are than each of the others: right of 1 we are, left of it they are."""
    rows = [key for key, values in results.values.items() if OURS in values and len(values) > 1]
    bottom = TOP + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {RIGHT + 30} {bottom + 30}" role="img">',
        '<g font-family="sans-serif" font-size="12">',
        f"<title>{OURS} beside other proxies on one core</title>",
        f'<rect width="{RIGHT + 30}" height="{bottom + 30}" fill="white"/>',
        *_scale(bottom),
        *_legend(),
    ]
    for number, (work, measure) in enumerate(rows):
        y = TOP + ROW * number + ROW / 2
        parts.append(f'<text x="{LEFT - 15}" y="{y + 4}" text-anchor="end">{escape(f"{work}: {measure.name}")}</text>')
        parts += [dot for name in COLOURS for dot in _dot(results, work, measure, name, y)]
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _dot(results: Results, work: str, measure: Measure, name: str, y: float) -> list[str]:
    ratio = results.ratio(work, measure, name)
    if ratio is None:
        return []
    better = ratio.middle if measure.more_is_better else 1 / ratio.middle
    low, high = sorted([ratio.low, ratio.high] if measure.more_is_better else [1 / ratio.low, 1 / ratio.high])
    colour = COLOURS[name]
    told = escape(f"{work}, {measure.name}, against {name}: {better:.2f} times")
    return [
        f'<path d="M{_x(low):.1f} {y}H{_x(high):.1f}" stroke="{colour}" stroke-width="1.5"/>',
        f'<circle cx="{_x(better):.1f}" cy="{y}" r="5" fill="{colour}"><title>{told}</title></circle>',
    ]


def _scale(bottom: float) -> list[str]:
    parts = []
    for power in range(-5, 6):
        x, factor = _x(2.0**power), f"{2**power}" if power >= 0 else f"1/{2**-power}"
        width, colour = (2, "#333") if power == 0 else (1, "#ddd")
        parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{colour}" stroke-width="{width}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{factor}</text>')
    middle = _x(1)
    parts.append(f'<text x="{middle - 8:.1f}" y="{TOP - 8}" text-anchor="end">the other one is better</text>')
    parts.append(f'<text x="{middle + 8:.1f}" y="{TOP - 8}">{OURS} is so many times better</text>')
    return parts


def _legend() -> list[str]:
    parts = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT - 200 + 130 * number
        parts.append(f'<circle cx="{x}" cy="20" r="5" fill="{colour}"/><text x="{x + 10}" y="24">{name}</text>')
    return parts


def _x(factor: float) -> float:
    share = (math.log(min(max(factor, LOW), HIGH)) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW))
    return LEFT + share * (RIGHT - LEFT)

import re
from xml.etree import ElementTree as ET

from bench.plot import HIGH, LEFT, RIGHT, svg_of
from bench.results import DELAY, OURS, RATE, Measure, Results


def dots(measure: Measure, ours: float, theirs: float) -> list[float]:
    """Where the dots stand."""
    results = Results()
    results.add("a & b", measure, OURS, ours)
    results.add("a & b", measure, "caddy", theirs)
    svg = svg_of(results)
    ET.fromstring(svg)  # noqa: S314 - our own; it is well-formed
    return [float(x) for x in re.findall(r'<circle cx="([0-9.]+)"[^/]*><title>', svg)]


def test_better_is_to_the_right_whatever_is_measured() -> None:
    """More requests and less delay are the same thing."""
    middle = (LEFT + RIGHT) / 2
    assert dots(RATE, 2, 1) == dots(DELAY, 1, 2) > [middle]
    assert dots(RATE, 1, 2) == dots(DELAY, 2, 1) < [middle]
    assert dots(RATE, 1, 1) == [middle]


def test_what_is_beyond_the_scale_stands_at_its_end() -> None:
    """Not outside of the picture."""
    assert dots(RATE, 10 * HIGH, 1) == [RIGHT]
    assert dots(RATE, 1, 10 * HIGH) == [LEFT]


def test_work_that_only_we_do_has_no_row() -> None:
    """There is nothing to compare."""
    results = Results()
    results.add("ours alone", RATE, OURS, 1.0)
    assert "ours alone" not in svg_of(results)

import pytest

from bench.results import COUNT, GAIN, OURS, P99, RATE, Results
from bench.targets import Target, target_lines


def measured(ours: float) -> Results:
    """One round of one work."""
    results = Results()
    results.add("API call, http, 16 connections", RATE, OURS, ours)
    results.add("API call, http, 16 connections", RATE, "caddy", 100.0)
    return results


@pytest.mark.parametrize(("ours", "met"), [(125.0, "yes"), (124.0, "**no**")])
def test_a_target_is_told_with_what_was_measured(ours: float, met: str) -> None:
    """It is met at its very limit."""
    value = f"{ours / 100:.2f} ({ours / 100:.2f} to {ours / 100:.2f})"
    line = f"| API call, http, 16 | requests | ≥ 1.25 times caddy | {value} | {met} |"
    assert line in target_lines(measured(ours))
    assert "| API call, https, 16 | requests | ≥ 1 times caddy | not measured |  |" in target_lines(measured(ours))


def test_less_is_better_where_it_is() -> None:
    """For times and counts."""
    assert Target("w", P99, 1.0, "caddy").is_met(0.9)
    assert not Target("w", P99, 1.0, "caddy").is_met(1.1)
    results = Results()
    results.add("w", COUNT, OURS, 1)
    assert Target("w", COUNT, 1).measured(results) == (1, "1.00")


def test_what_several_workers_gain_is_told() -> None:
    """Ours by ours: more is better, and there is nobody to compare with."""
    results = Results()
    results.add("2 workers / 1, each with 25% of a core", GAIN, OURS, 1.8)
    assert "| 2 workers / 1 | gain | ≥ 1.7 | 1.80 | yes |" in target_lines(results)
    assert "| 2 workers / 1 | gain | ≥ 1.7 | not measured |  |" in target_lines(Results())

import pytest

from bench.page import MEASURED, PROFILE, measured_lines, with_block
from bench.results import OURS, P99, RATE, Results

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def test_the_page_keeps_what_is_written_by_hand() -> None:
    """Only what is between the two lines is replaced, as often as one likes."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = with_block(page, MEASURED, ["new", "lines"])
    assert once == f"before\n{BEGIN}\nnew\nlines\n{END}\nafter\n"
    assert with_block(once, MEASURED, ["new", "lines"]) == once


def test_a_page_without_a_place_is_told() -> None:
    """Nothing is appended anywhere; another block is no place."""
    with pytest.raises(ValueError, match="no lines"):
        with_block(f"{BEGIN}\n{END}", PROFILE, [])


def test_the_page_shows_all_that_was_measured() -> None:
    """The targets, on what it was, and each value with the ratios; nothing where a proxy did not take part."""
    results = Results()
    results.add("work", RATE, OURS, 3000.0)
    results.add("work", RATE, "caddy", 1500.0)
    results.add("work", P99, OURS, 0.002)
    lines = measured_lines(results, {"nginx": "1.2", "cores": "2"})
    assert lines[0].startswith("| work | measure | target |")
    assert "Measured with nginx 1.2, cores 2." in lines
    assert lines[-4:] == [
        "| work | measure | jmap-proxy | caddy |",
        "|---|---|---|---|",
        "| work | requests | 3,000 1/s | 2.00 (2.00 to 2.00) |",
        "| work | p99 | 2,000 µs |  |",
    ]

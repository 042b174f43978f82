import io

from rich.console import Console

from bench.results import COUNT, DELAY, MEMORY, OURS, P50, Results
from bench.table import shown, table_of


def test_a_line_tells_our_value_and_the_ratios_with_their_spread() -> None:
    """The median first, then the lowest and the highest round."""
    results = Results()
    for ours in (0.001, 0.002, 0.003):
        results.add("work", P50, OURS, ours)
        results.add("work", P50, "caddy", 0.002)
    results.add("other work", DELAY, OURS, 1.5)
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(table_of(results))
    text = console.export_text()
    assert "2,000 µs" in text
    assert "1.00 (0.50 to 1.50)" in text


def test_values_have_their_units() -> None:
    """Short times in microseconds, long ones in seconds."""
    assert shown(None, P50) == ""
    assert shown(0.00005, P50) == "50 µs"
    assert shown(1.5, DELAY) == "1.50 s"
    assert shown(25.4, MEMORY) == "25 KiB"
    assert shown(1.0, COUNT) == "1.00"

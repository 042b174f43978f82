from bench.results import DELAY, OURS, RATE, Results


def measured() -> Results:
    """Two proxies, three rounds."""
    results = Results()
    for ours, theirs in ((10.0, 5.0), (30.0, 10.0), (8.0, 8.0)):
        results.add("work", RATE, OURS, ours)
        results.add("work", RATE, "other", theirs)
    return results


def test_the_ratio_is_the_median_of_those_of_the_rounds() -> None:
    """Not the ratio of the medians: a round in which the machine was busy is slow for both."""
    ratio = measured().ratio("work", RATE, "other")
    assert ratio is not None
    assert (ratio.middle, ratio.low, ratio.high) == (2.0, 1.0, 3.0)


def test_what_was_not_measured_has_no_ratio() -> None:
    """A proxy that does not take part, or where we do not."""
    results = measured()
    results.add("alone", RATE, "other", 1.0)
    assert results.ratio("work", RATE, "absent") is None
    assert results.ratio("work", DELAY, "other") is None
    assert results.ratio("alone", RATE, "other") is None
    assert results.median("alone", RATE, OURS) is None


def test_all_values_are_written() -> None:
    """Each round of each proxy."""
    assert measured().as_json() == [
        {"work": "work", "measure": "requests", "unit": "1/s", "proxy": OURS, "rounds": [10.0, 30.0, 8.0]},
        {"work": "work", "measure": "requests", "unit": "1/s", "proxy": "other", "rounds": [5.0, 10.0, 8.0]},
    ]

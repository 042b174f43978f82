from jmap_proxy.proxy.timing import Timing


async def test_by_default_time_goes_by_as_everywhere() -> None:
    """The clock is never set back, the jitter is below 1, and a wait can be awaited."""
    timing = Timing()
    before = timing.clock()
    await timing.sleep(0)
    assert timing.clock() >= before
    assert timing.now() > before
    assert 0 <= timing.jitter() < 1

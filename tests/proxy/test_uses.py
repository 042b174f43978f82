import asyncio

import pytest

from jmap_proxy.proxy.uses import Uses


async def test_it_is_over_when_the_last_use_ends() -> None:
    """Uses may overlap, and end by an error."""
    uses = Uses()
    with uses:
        over = asyncio.create_task(uses.over())
        with pytest.raises(ValueError, match="broken"), uses:
            int("broken")
        await asyncio.sleep(0)
        assert not over.done()
    await over


async def test_what_nobody_uses_is_over_at_once() -> None:
    """Before the first use, and after the last."""
    uses = Uses()
    await uses.over()
    with uses:
        pass
    await uses.over()


async def test_a_use_may_go_from_begin_to_end() -> None:
    """Where it is no context; it counts as one."""
    uses = Uses()
    uses.begin()
    with uses:
        uses.begin()
        over = asyncio.create_task(uses.over())
        uses.end()
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not over.done()
    uses.end()
    await over
    await uses.over()


async def test_it_is_not_over_where_another_use_has_begun_meanwhile() -> None:
    """Whoever waits then waits for that one too, and so does whoever asks later."""
    uses = Uses()
    uses.begin()
    over = asyncio.create_task(uses.over())
    await asyncio.sleep(0)
    uses.end()
    uses.begin()
    later = asyncio.create_task(uses.over())
    await asyncio.sleep(0)
    assert [over.done(), later.done()] == [False, False]
    uses.end()
    await asyncio.gather(over, later)

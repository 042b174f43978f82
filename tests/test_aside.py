from __future__ import annotations

import asyncio
import threading

import pytest

from jmap_proxy.aside import aside


async def test_it_gives_what_the_call_gives() -> None:
    """With arguments of both kinds."""
    assert await aside(int, "ff", base=16) == 255


async def test_it_raises_what_the_call_raises() -> None:
    """Where it is waited for."""
    with pytest.raises(ZeroDivisionError):
        await aside(divmod, 1, 0)


async def test_who_gives_up_is_not_kept() -> None:
    """And a call that returns after all disturbs nobody."""
    returns, returned = threading.Event(), threading.Event()

    def call() -> None:
        returns.wait()
        returned.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await aside(call)
    returns.set()
    assert await aside(returned.wait, 10)


def test_a_call_that_never_returns_does_not_keep_the_program() -> None:
    """Not even the end of the event loop waits for it."""
    returns, returned = threading.Event(), threading.Event()

    def call() -> None:
        returns.wait()
        returned.set()

    async def main() -> None:
        async with asyncio.timeout(0):
            await aside(call)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert not returned.is_set()
    returns.set()
    assert returned.wait(10)

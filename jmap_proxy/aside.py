"""Calls that block, aside of the event loop, where nobody needs to wait for one that never returns."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def aside(call: Callable[..., T], *args: Any, **options: Any) -> T:
    """What the call gives, made in a thread of its own.

    `asyncio.to_thread` keeps the whole program from ending until its call has returned, and a name server, a keyring
    or a network file system can take minutes. This thread ends with the program.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(error: BaseException | None, result: Any) -> None:
        if outcome.done():
            return  # nobody waits any more
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    def work() -> None:
        error: BaseException | None = None
        result: Any = None
        try:
            result = call(*args, **options)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where it is waited for
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(settle, error, result)

    threading.Thread(target=work, daemon=True, name="aside").start()
    return await outcome

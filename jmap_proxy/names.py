"""Host names and their addresses, asked for where a name server that hangs holds up nobody else.

uvloop asks in four threads of its own, which it needs for each connection too, be it to an address: four names that
hang kept every account from its provider (measured). asyncio asks where the files are read.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import ThreadedResolver

from jmap_proxy.aside import aside

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 64
"""Names that are asked for at the same time; further ones wait until the system has given one up."""


class Resolver(ThreadedResolver):
    """aiohttp's resolver, with threads that are used for nothing else and end with the program.

    Args:
        look_up: Blocks, as `socket.getaddrinfo`.
    """

    def __init__(self, look_up: Callable[..., Any] = socket.getaddrinfo) -> None:
        super().__init__()
        self._loop = _Lookups(look_up)  # type: ignore[assignment] # what the resolver uses of a loop


class _Lookups:
    def __init__(self, look_up: Callable[..., Any]) -> None:
        self._look_up = look_up
        self._places = asyncio.Semaphore(MOST)

    async def getaddrinfo(self, host: str, port: int, **how: Any) -> Any:
        """As the loop's. Who goes away leaves the place taken: nothing can end the call."""
        await self._places.acquire()
        call = asyncio.create_task(aside(self._look_up, host, port, **how), name=f"address of {host}")
        call.add_done_callback(self._leave)
        return await asyncio.shield(call)

    async def getnameinfo(self, address: Any, flags: int) -> Any:
        """As the loop's; for addresses only, for which nobody is asked."""
        return await asyncio.get_running_loop().getnameinfo(address, flags)

    def _leave(self, call: asyncio.Task[Any]) -> None:
        self._places.release()
        if not call.cancelled():
            call.exception()  # whoever has waited was told

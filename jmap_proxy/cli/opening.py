"""Ways in that are open already, and not in force yet: what waits there, and how it is undone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from jmap_proxy.proxy.wire.cut import cut

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from contextlib import ExitStack

    from jmap_proxy.cli.listeners import Answer, Way
    from jmap_proxy.proxy.fast.lane import Lane


class Listening(Protocol):
    """A `Listener`, or what stands in its place."""

    def serve(self, answer: Answer, lane: Lane | None = None) -> None:
        """See `Listener.serve`."""

    async def open(self, host: str, port: int) -> str:
        """See `Listener.open`. Raises OSError."""

    async def open_socket(self, bound: socket.socket) -> None:
        """See `Listener.open_socket`. Raises OSError."""

    async def close(self) -> None:
        """See `Listener.close`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A way in that is open.

    Attributes:
        way: As it was when it was opened.
        shown: Its origin or path.
        hosts: The addresses at which it is bound.
        listener: Listens.
        files: What is to be closed after it.
    """

    way: Way
    shown: str
    hosts: Sequence[str]
    listener: Listening
    files: ExitStack

    async def close(self) -> None:
        """Listen no longer; requests in flight get their time to finish."""
        await self.listener.close()
        self.files.close()


class Opening:
    """Ways in that are about to replace those that are open: `Listeners.take` or `close` is to follow.

    Requests that come by them before that wait: there may be no accounts yet to answer for.

    Args:
        ways: All of them.

    Attributes:
        ways: As above.
        opened: Those that had to be opened, by name.
    """

    def __init__(self, ways: Sequence[Way]) -> None:
        self.ways = ways
        self.opened: dict[str, Opened] = {}
        self._decided = asyncio.Event()
        self._is_taken = False

    def take(self) -> None:
        """Let the requests in that have come."""
        self._is_taken = True
        self._decided.set()

    async def close(self) -> None:
        """Do without them."""
        self._decided.set()
        await asyncio.gather(*(each.close() for each in self.opened.values()))

    def gate(self, answer: Answer) -> Answer:
        """What lets requests wait before it answers them; their connections end if it is not to be."""

        async def wait_and_answer(request: web.BaseRequest) -> web.StreamResponse:
            await self._decided.wait()
            if not self._is_taken:
                cut(request)
                return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)  # which nobody sees
            return await answer(request)

        return wait_and_answer

"""A listener of the supervisor: bound, so that connections can come, and served by the workers."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from jmap_proxy.proxy.listener.listener import BACKLOG

if TYPE_CHECKING:
    from jmap_proxy.cli.listeners import Answer
    from jmap_proxy.proxy.fast.lane import Lane

SPREADS = sys.platform == "linux"
"""Whether the kernel spreads connections over sockets with one address (SO_REUSEPORT of socket(7)).

All workers at one socket would be simpler, and is how it is elsewhere. But then whoever wakes up first takes all that
come at the same time (measured: 16 of 16), and keeps them for as long as clients keep connections.
"""


class Bound:
    """Stands where a `Listener` does that answers for itself.

    Args:
        places: How many workers there are to be.
        spreads: Whether each gets a socket of its own for an address; see `SPREADS`.
    """

    def __init__(self, places: int, *, spreads: bool = SPREADS) -> None:
        self._spreads = spreads
        self._shared: list[socket.socket] = []
        self._own: list[dict[tuple[str, int], socket.socket]] = [{} for _ in range(places)]

    def serve(self, answer: Answer, lane: Lane | None = None) -> None:
        """See `Listener.serve`: the workers do."""

    async def open(self, host: str, port: int) -> str:
        """See `Listener.open`. Raises OSError."""
        first = _listening(host, port)  # alone: with SO_REUSEPORT, another proxy of ours would not be noticed
        port = first.getsockname()[1]
        if self._spreads:
            first.close()
            for own in self._own:
                own[host, port] = _listening(host, port, together=True)
        else:
            self._shared.append(first)
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}"

    async def open_socket(self, bound: socket.socket) -> None:
        """See `Listener.open_socket`: one for all. Raises OSError."""
        bound.listen(BACKLOG)
        self._shared.append(bound)

    def sockets(self, place: int) -> list[socket.socket]:
        """What the worker in this place listens on; those that were given up are opened anew. Raises OSError."""
        own = self._own[place]
        for (host, port), each in own.items():
            if each.fileno() < 0:
                own[host, port] = _listening(host, port, together=True)
        return [*self._shared, *own.values()]

    def give_up(self, place: int) -> None:
        """Let the others have the connections that would come to this place."""
        for each in self._own[place].values():
            each.close()

    async def close(self) -> None:
        """Close them here; they end when the workers have closed theirs."""
        for place in range(len(self._own)):
            self.give_up(place)
        for each in self._shared:
            each.close()


def _listening(host: str, port: int, *, together: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=together)

"""Ports for programs that must be told theirs before they start."""

from __future__ import annotations

import socket
import sys
from collections import deque

KEPT = 64
"""More than any test asks for. Each one is a descriptor, of which a process has not many."""

_keepers: deque[socket.socket] = deque()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that the kernel gives to nobody else before `KEPT` more are.

    A bound socket that does not listen keeps it from being chosen for another one; a listener, which like this socket
    sets SO_REUSEADDR, may have it all the same. Elsewhere than on Linux that does not hold, and it is only free now.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    port = int(keeper.getsockname()[1])
    if sys.platform == "linux":
        _keepers.append(keeper)
        if len(_keepers) > KEPT:
            _keepers.popleft().close()
    else:
        keeper.close()
    return port

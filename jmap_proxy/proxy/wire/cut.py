"""Breaking a client's connection off, so that half an answer never looks like a whole one."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


def cut(request: web.BaseRequest) -> None:
    """End the client's connection in the middle by a reset, which a client of HTTP/1.0 sees as an error too."""
    if request.transport is None:
        return
    linger = struct.pack("ii", 1, 0)
    with contextlib.suppress(OSError):  # the client has just closed it
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.transport.abort()

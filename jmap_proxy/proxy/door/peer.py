"""Who is at the other end of a Unix socket, as the kernel says it."""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_BSD_LEVEL, _BSD_OPTION = 0, 1
"""SOL_LOCAL and LOCAL_PEERCRED of <sys/un.h>, macOS and FreeBSD."""


def peer_uid(transport: asyncio.BaseTransport | None) -> int | None:
    """The user id that the peer had when it connected, None where there is no peer or the kernel does not tell."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    try:
        if sys.platform == "linux":
            _pid, uid, _gid = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        else:  # struct xucred begins with its version and the user id
            _version, uid = struct.unpack("II", connection.getsockopt(_BSD_LEVEL, _BSD_OPTION, 8))
    except OSError:
        return None
    return int(uid)

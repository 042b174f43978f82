"""A program that is handed sockets as systemd does it (sd_listen_fds(3)): from descriptor 3 on, LISTEN_PID its own."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from tests.support.program import Program

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

_LAUNCHER = """
import os, sys
names, descriptors, *command = sys.argv[1:]
kept = [os.dup(int(each)) for each in descriptors.split(",")]
high = [os.dup2(each, 100 + number, False) for number, each in enumerate(kept)]
for number, each in enumerate(high, 3):
    os.dup2(each, number)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": names}
os.execv(sys.executable, [sys.executable, "-m", "jmap_proxy", *command])
"""


async def start_activated(sockets: Sequence[tuple[str, socket.socket]], *args: str, env: Mapping[str, str]) -> Program:
    """Start `python -m jmap_proxy` with these arguments and these named sockets."""
    names = ":".join(name for name, _ in sockets)
    descriptors = [each.fileno() for _, each in sockets]
    return Program(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _LAUNCHER,
            names,
            ",".join(map(str, descriptors)),
            *args,
            env={**os.environ, **env},
            pass_fds=descriptors,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )

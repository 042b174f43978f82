"""A service manager's side of sd_notify(3): a datagram socket that is told how a program is doing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.program import TIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Manager:
    """A manager that listens.

    Attributes:
        env: What a program is told by the environment.
    """

    env: dict[str, str]
    _socket: socket.socket

    async def message(self) -> list[str]:
        """The lines of the next message."""
        async with asyncio.timeout(TIME_LIMIT):
            return (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode().split("\n")

    async def message_of(self, first: str) -> list[str]:
        """The next message whose first line this is; those before it are passed over."""
        while (message := await self.message())[0] != first:
            pass
        return message

    def is_silent(self) -> bool:
        """Whether there is no message now."""
        return not select.select([self._socket], [], [], 0)[0]


@contextlib.contextmanager
def manager_at(folder: Path, *, abstract: bool = False) -> Iterator[Manager]:
    """A manager with a socket in that folder, or with an abstract one (Linux)."""
    name = f"@jmap-proxy-test-{os.urandom(8).hex()}" if abstract else str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.setblocking(False)
        listening.bind(f"\0{name[1:]}" if abstract else name)
        yield Manager({"NOTIFY_SOCKET": name}, listening)

"""The floor: a plain aiohttp proxy, on uvloop (`plain_proxy`)."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contenders.contender import Running, Setting
from bench.processes import Pinned, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM = Path(__file__).with_name("plain_proxy.py")


class Plain:
    """See the module."""

    name = "plain aiohttp"

    @asynccontextmanager
    async def start(self, setting: Setting, key: str) -> AsyncIterator[Running]:
        """See `Contender`."""
        port = free_port()
        argv = [sys.executable, str(PROGRAM), str(port), setting.server, setting.token, str(setting.upstream.ca_file)]
        async with Pinned(setting.core, argv, setting.folder / "log") as process:
            yield Running(self.name, process, f"http://127.0.0.1:{port}", key)

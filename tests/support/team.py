"""A `serve --workers N` as a process, its workers, and clients of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.chain import CALL
from tests.support.program import TIME_LIMIT
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.program import Ended, Program
    from tests.support.world import World


@dataclass
class Team:
    """A supervisor with workers.

    Attributes:
        lines: What it said when it was ready.
    """

    world: World
    program: Program
    lines: list[str]
    key: str

    @property
    def origin(self) -> str:
        """Of the shared http listener."""
        return next(line.removeprefix("listening on ") for line in self.lines if "http://" in line)

    @property
    def admin(self) -> str:
        """Of the admin listener."""
        return f"http://127.0.0.1:{self.world.admin_port}"

    @property
    def workers(self) -> list[int]:
        """Their process ids, the oldest first (Linux)."""
        supervisor = self.program.process.pid
        return [int(each) for each in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        """A mail client with connections of its own."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=TIME_LIMIT)
        async with aiohttp.ClientSession(headers=basic(self.key), connector=connector, timeout=timeout) as client:
            yield client

    async def session(self, origin: str = "", key: str = "") -> tuple[int, dict[str, Any]]:
        """The Session or the problem, over a connection of its own."""
        fields = basic(key) if key else None
        url = f"{origin or self.origin}/.well-known/jmap"
        async with self.client() as client, client.get(url, headers=fields) as response:
            return response.status, await response.json(content_type=None)

    async def call(self, client: aiohttp.ClientSession, api: str) -> int:
        """One API request; its status."""
        async with client.post(api, json=CALL) as response:
            await response.read()
            return response.status

    @asynccontextmanager
    async def stream(self, client: aiohttp.ClientSession) -> AsyncIterator[aiohttp.StreamReader]:
        """An event stream."""
        url = (await self.session())[1]["eventSourceUrl"]
        url = url.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0")
        async with client.get(url) as response:
            assert response.status == 200
            yield response.content

    async def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """All samples, by name and labels."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.admin}/metrics") as response:
            text = await response.text()
        return {
            (sample.name.removeprefix("jmap_proxy_"), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def metric(self, name: str, **labels: str) -> float:
        """One sample."""
        return (await self.metrics())[name, frozenset(labels.items())]

    async def until_replaced(self, times: int, size: int) -> None:
        """Wait until so many workers have been replaced, and all serve."""
        async with asyncio.timeout(TIME_LIMIT):
            while (await self.metric("worker_replacements_total"), await self.metric("workers")) != (times, size):
                pass

    async def stop(self) -> Ended:
        """End it as a service manager does, and see that it ends well."""
        ended = await self.program.end(signal.SIGTERM)
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err, ended.err
        return ended


@asynccontextmanager
async def team(
    world: World, size: int, key: str = "", lines: int = 2, env: Mapping[str, str] | None = None
) -> AsyncIterator[Team]:
    """A supervisor with so many workers, signed in, that has said so many lines; it is ended if it still runs."""
    key = key or (await world.sign_in()).local_key
    program = await world.start("serve", "--workers", str(size), **(env or {}))
    served = Team(world, program, [await program.line() for _ in range(lines)], key)
    try:
        yield served
    finally:
        if program.runs:
            await served.stop()


async def gone(pid: int) -> None:
    """Wait for the end of a process that is nobody's child here any more (Linux)."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, ended.set)
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)

"""Children of the nursery, as a test sees them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.endurance.helper import Helper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from tests.support.world import World


class Life:
    """A child that lives.

    Attributes:
        said: Its lines so far.
        over: Done when it has ended; its exit code, or the number of the signal that killed it.
    """

    def __init__(self, nursery: Helper, pid: int) -> None:
        self._nursery = nursery
        self._pid = pid
        self._news = asyncio.Condition()
        self.said: list[str] = []
        self.over = asyncio.create_task(self._listen())

    @property
    def lost(self) -> str:
        """Why the sign-in is lost, by what it said; "" if it did not say so."""
        return next((line.removeprefix("lost ") for line in self.said if line.startswith("lost ")), "")

    async def line(self, prefix: str) -> str:
        """The rest of its first line that begins so."""
        async with self._news:
            await self._news.wait_for(lambda: any(line.startswith(prefix) for line in self.said) or self.over.done())
        return next(line.removeprefix(prefix) for line in self.said if line.startswith(prefix))

    async def last_until(self, moment: Awaitable[object]) -> None:
        """Wait until the moment has come, or it has ended by itself."""
        waiting = asyncio.ensure_future(moment)
        await asyncio.wait([waiting, self.over], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def kill(self) -> int:
        """Kill it, unless it has ended by itself; as `over`."""
        os.kill(self._pid, signal.SIGKILL)  # a zombie at worst: the nursery keeps its number
        return await self.over

    async def _listen(self) -> int:
        while not (line := await self._nursery.line()).startswith("ended "):
            async with self._news:
                self.said.append(line)
                self._news.notify_all()
        return int(line.removeprefix("ended "))


class Lives:
    """Begins lives, one after the other."""

    def __init__(self, nursery: Helper, world: World) -> None:
        self._nursery = nursery
        self._world = world

    async def begin(self, *args: str) -> Life:
        """Run a command of the program."""
        self._nursery.tell(json.dumps([*args, "--config", str(self._world.config)]))
        return await self._born()

    async def begin_refresh_loop(self) -> Life:
        """Run the refresh loop."""
        self._nursery.tell(json.dumps(["refresh-loop", str(self._world.config), "alice"]))
        return await self._born()

    async def _born(self) -> Life:
        line = await self._nursery.line()
        assert line.startswith("pid ")
        return Life(self._nursery, int(line.removeprefix("pid ")))


@asynccontextmanager
async def lives_in(world: World) -> AsyncIterator[Lives]:
    """A nursery as long as the context lasts."""
    nursery = await Helper.launch("nursery", env=world.env)
    try:
        yield Lives(nursery, world)
    finally:
        await nursery.end_all()

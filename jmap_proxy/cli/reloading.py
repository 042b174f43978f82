"""Taking up the configuration file anew while the proxy runs: when told to (SIGHUP), and when the file has changed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from jmap_proxy import files
from jmap_proxy.errors import JmapProxyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from jmap_proxy.config import Config

INTERVAL = 2.0
"""Seconds between two looks at the file."""

log = structlog.get_logger("jmap_proxy.cli")


class Reloading:
    """Follows a configuration file. What cannot be used is logged, and all goes on as before.

    Args:
        path: The file.
        load: Reads and checks it. Blocks, raises ConfigError.
        take_up: Goes on with a configuration. Raises JmapProxyError where it cannot.
        told: Set when the file is to be taken up in any case.
        taken: Identity of the file before it was read the first time.
        sleep: Waits for so many seconds.
        during: Makes a context that is open while the file is taken up.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[], Config],
        take_up: Callable[[Config], Awaitable[None]],
        told: asyncio.Event,
        taken: files.Identity | None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        during: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self._path = path
        self._load = load
        self._take_up = take_up
        self._told = told
        self._during = during
        self._sleep = sleep
        self._taken = self._latest = taken
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Follow it for ever; to be cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._obey())
            tasks.create_task(self._follow())

    async def look(self) -> None:
        """Take the file up if it has changed and is at rest: one that is being written can seem whole, and lack half.

        So is one that has gone for good; an editor that removes it before it writes it anew is given the time.
        """
        identity = identity_of(self._path)
        if identity == self._latest != self._taken:
            await self.reload()
        self._latest = identity

    async def reload(self) -> None:
        """Take the file up as it is now."""
        async with self._one_at_a_time:
            with self._during():
                await self._reload()

    async def _reload(self) -> None:
        # before it is read, so that no later change is overlooked
        self._taken = self._latest = identity_of(self._path)
        try:
            await self._take_up(await asyncio.to_thread(self._load))
        except JmapProxyError as error:
            log.error("the configuration is not taken up, all goes on as before", detail=error.detail, hint=error.hint)
        except Exception:  # the proxy goes on
            log.exception("the configuration is not taken up, all goes on as before")

    async def _obey(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            await self.reload()

    async def _follow(self) -> None:
        while True:
            await self._sleep(INTERVAL)
            await self.look()


def identity_of(path: Path) -> files.Identity | None:
    """The identity of a file, None where there is none to be seen. One stat call."""
    try:
        return files.identity(path)
    except StoreError:
        return None

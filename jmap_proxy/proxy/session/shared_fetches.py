"""Fetches that all who want the same thing share, and that go on when somebody cannot wait any longer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from jmap_proxy.errors import JmapProxyError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")

KEPT = 10.0
"""Seconds; who was told to come again comes sooner, and a later one wants something newer."""

MOST = 16
"""Things fetched at the same time; clients choose them."""


@dataclass(slots=True)
class _Fetch(Generic[_T]):
    task: asyncio.Task[_T]
    overdue: bool = False


class SharedFetches(Generic[_T]):
    """One running fetch for each key. None of those who wait for it can end it.

    Args:
        fetch: Fetches what a key means; the errors of its own are JmapProxyErrors.
        patience: Seconds that a caller waits.
        name: Of the tasks.
        kept: Seconds that an outcome is kept for those who were told to come again.
    """

    def __init__(
        self, fetch: Callable[[str], Coroutine[None, None, _T]], patience: float, name: str, kept: float = KEPT
    ) -> None:
        self._fetch = fetch
        self._patience = patience
        self._name = name
        self._kept = kept
        self._fetches: dict[str, _Fetch[_T]] = {}

    async def get(self, key: str) -> _T:
        """What the fetch gives that is running, or was overdue and has ended meanwhile; else a new one.

        Raises:
            JmapProxyError: the fetch failed; each caller gets an error object of its own.
            TimeoutError: it takes longer; who asks again gets its outcome.
        """
        fetch = self._fetches.get(key) or self._start(key)
        done, _ = await asyncio.wait([fetch.task], timeout=self._patience)
        if not done:
            fetch.overdue = True
            raise TimeoutError
        self._drop(key, fetch)
        try:
            return fetch.task.result()
        except JmapProxyError as error:
            raise error.anew() from None

    async def close(self) -> None:
        """End what is running; those who wait for it are cancelled."""
        tasks = [fetch.task for fetch in self._fetches.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, key: str) -> _Fetch[_T]:
        if len(self._fetches) >= MOST:
            raise TimeoutError
        fetch = self._fetches[key] = _Fetch(asyncio.create_task(self._fetch(key), name=self._name))
        fetch.task.add_done_callback(lambda task: self._end(key, fetch, task))
        return fetch

    def _end(self, key: str, fetch: _Fetch[_T], task: asyncio.Task[_T]) -> None:
        if not task.cancelled():
            task.exception()  # seen, even if everyone who waited has left
        if fetch.overdue:
            task.get_loop().call_later(self._kept, self._drop, key, fetch)
        else:
            self._drop(key, fetch)

    def _drop(self, key: str, fetch: _Fetch[_T]) -> None:
        if self._fetches.get(key) is fetch:
            del self._fetches[key]

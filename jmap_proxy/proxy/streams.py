"""The streams that are open: answers that do not end by themselves, and so have to be ended."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Streams:
    """The tasks that serve event streams and WebSockets, by account."""

    def __init__(self) -> None:
        self._accounts: dict[asyncio.Task[object], str] = {}

    @contextmanager
    def listed(self, account: str) -> Iterator[None]:
        """Count the current task as a stream of this account while the context is open."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not in a task")
        self._accounts[task] = account
        try:
            yield
        finally:
            del self._accounts[task]

    def end(self, account: str | None = None) -> None:
        """Cancel the streams of an account, or all; their clients connect again."""
        for task, owner in list(self._accounts.items()):
            if account in (None, owner):
                task.cancel()

    def count(self, account: str) -> int:
        """How many streams an account has open."""
        return sum(owner == account for owner in self._accounts.values())

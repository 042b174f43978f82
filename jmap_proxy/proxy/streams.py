"""The streams that are open: answers that do not end by themselves, and so have to be ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


Owner = tuple[str, str, str]


class Listed:
    """The context of a stream. A class, since it lasts as long as the stream: a generator is larger."""

    __slots__ = ("_owner", "_owners", "_task")

    def __init__(self, owners: dict[asyncio.Task[object], Owner], owner: Owner) -> None:
        self._owners = owners
        self._owner = owner

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("not in a task")
        self._task = task
        self._owners[task] = self._owner

    def __exit__(self, *_: object) -> None:
        del self._owners[self._task]


class Streams:
    """The tasks that serve event streams and WebSockets, each with its account, the digest of its key and its kind."""

    def __init__(self) -> None:
        self._owners: dict[asyncio.Task[object], Owner] = {}

    def listed(self, account: str, key_digest: str = "", kind: str = "") -> Listed:
        """Count the current task as a stream while the context is open.

        Args:
            account: Whose it is.
            key_digest: Of the local key that opened it, "" where none was needed.
            kind: What it is, to be counted by.
        """
        return Listed(self._owners, (account, key_digest, kind))

    def end(self, account: str | None = None) -> None:
        """Cancel the streams of an account, or all; their clients connect again."""
        for task, (owner, _, _) in list(self._owners.items()):
            if account in (None, owner):
                task.cancel()

    def end_without(self, key_digests: AbstractSet[str]) -> None:
        """Cancel the streams that were opened by a key that is none of these any more."""
        for task, (_, key_digest, _) in list(self._owners.items()):
            if key_digest and key_digest not in key_digests:
                task.cancel()

    def count(self, account: str) -> int:
        """How many streams an account has open."""
        return sum(owner == account for owner, _, _ in self._owners.values())

    def counts(self) -> Counter[tuple[str, str]]:
        """How many there are, by account and kind."""
        return Counter((account, kind) for account, _, kind in self._owners.values())

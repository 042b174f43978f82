"""Noticing that another process has signed an account in or out, without a request having to find out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from jmap_proxy import files
from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    Identities = dict[Path, files.Identity | None]

INTERVAL = 1.0
"""Seconds between two looks."""

FURTHER_LOOKS = 2
"""How often the files are looked at after the look that found their folder changed: two changes within one tick of the
file system's clock (2 s on FAT) leave the same time."""

FULL_LOOK = 30
"""Each so many looks the files are looked at in any case: one that is written in place does not change its folder."""

log = structlog.get_logger("jmap_proxy.tokens")


class Looker(Protocol):
    """Somebody who takes up what a token file holds: a TokenRefresher."""

    @property
    def sign_in_id(self) -> str:
        """See `TokenRefresher.sign_in_id`."""

    async def look(self) -> None:
        """See `TokenRefresher.look`. Raises StoreError."""


class StoreWatch:
    """Looks at the token files' identity and lets a refresher look when its file has changed.

    Files are replaced by rename, which changes their folder: while that is the same, one stat call a folder is all.

    Args:
        refreshers: By token file; may change at any time.
        ended: Is told the file of a sign-in that is not in use any more: the account is signed out, or signed in anew.
        identity: Tells one version of a file or folder from the next.
    """

    def __init__(
        self,
        refreshers: Mapping[Path, Looker],
        ended: Callable[[Path], None] = lambda _: None,
        identity: Callable[[Path], files.Identity | None] = files.identity,
    ) -> None:
        self._refreshers = refreshers
        self._ended = ended
        self._identity = identity
        self._seen: Identities = {}
        self._watched: set[Path] = set()
        self._parents: set[Path] = set()
        self._folders: Identities = {}
        self._looks_due = 0
        self._looks_until_full = 0
        self._sign_ins = {path: refresher.sign_in_id for path, refresher in refreshers.items()}

    async def run(self) -> None:
        """Look for ever; to be cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)

    async def identities(self, paths: Iterable[Path]) -> Identities:
        """What there is now, for `expect`."""
        return await asyncio.to_thread(self._identities, list(paths))

    def expect(self, identities: Identities) -> None:
        """Files that new refreshers have loaded, as they were before that: only what has changed since is news."""
        self._seen |= identities
        self._sign_ins |= {path: self._refreshers[path].sign_in_id for path in identities}
        self._looks_due = 1 + FURTHER_LOOKS

    async def look(self) -> None:
        """Look once, the first time at every file; one that cannot be read is looked at again the next time."""
        if self._refreshers.keys() != self._watched:
            self._follow()
        folders = await asyncio.to_thread(self._identities, self._parents)
        if folders != self._folders or not self._looks_until_full:
            self._looks_due = 1 + FURTHER_LOOKS
            self._looks_until_full = FULL_LOOK
        self._folders = folders
        self._looks_until_full -= 1
        if self._looks_due:
            self._looks_due -= 1
            await self._look_at_files()
        for path, refresher in self._refreshers.items():  # in a refresh it may have seen for itself what has changed
            before, self._sign_ins[path] = self._sign_ins.get(path, ""), refresher.sign_in_id
            if before and before != self._sign_ins[path]:
                self._ended(path)

    def _follow(self) -> None:
        """Other files are to be watched; forget those that nobody asks for any more."""
        self._watched = set(self._refreshers)
        self._parents = {path.parent for path in self._watched}
        for known in (self._seen, self._sign_ins):
            for path in known.keys() - self._watched:
                del known[path]

    async def _look_at_files(self) -> None:
        refreshers = dict(self._refreshers)
        for path, identity in (await asyncio.to_thread(self._identities, list(refreshers))).items():
            if path in self._seen and self._seen[path] == identity:
                continue
            try:
                await refreshers[path].look()
            except StoreError:
                self._looks_due = max(self._looks_due, 1)  # what is wrong is told when the tokens are needed
                continue
            except Exception:  # the watch goes on
                self._looks_due = max(self._looks_due, 1)
                log.exception("token file could not be looked at", path=str(path))
                continue
            if self._refreshers.get(path) is refreshers[path]:  # else another one has loaded the file
                self._seen[path] = identity

    def _identities(self, paths: Iterable[Path]) -> Identities:
        return {path: self._identity_or_none(path) for path in paths}

    def _identity_or_none(self, path: Path) -> files.Identity | None:
        try:
            return self._identity(path)
        except StoreError:
            return None

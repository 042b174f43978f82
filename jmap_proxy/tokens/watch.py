"""Noticing that another process has signed an account in or out, without a request having to find out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from jmap_proxy import files
from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INTERVAL = 1.0
"""Seconds between two looks."""

log = structlog.get_logger("jmap_proxy.tokens")


class Looker(Protocol):
    """Somebody who takes up what a token file holds: a TokenRefresher."""

    async def look(self) -> None:
        """See `TokenRefresher.look`. Raises StoreError."""


class StoreWatch:
    """Looks at the token files' identity (one stat call each) and lets a refresher look when its file has changed.

    Args:
        refreshers: By token file.
    """

    def __init__(self, refreshers: Mapping[Path, Looker]) -> None:
        self._refreshers = refreshers
        self._seen: dict[Path, files.Identity | None] = {}

    async def run(self) -> None:
        """Look for ever; to be cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Look once, the first time at every file; one that cannot be read is looked at again the next time."""
        for path, identity in (await asyncio.to_thread(_identities, self._refreshers)).items():
            if path in self._seen and self._seen[path] == identity:
                continue
            try:
                await self._refreshers[path].look()
            except StoreError:
                continue  # what is wrong with it is told when the tokens are needed
            except Exception:  # the watch goes on
                log.exception("token file could not be looked at", path=str(path))
                continue
            self._seen[path] = identity


def _identities(paths: Mapping[Path, Looker]) -> dict[Path, files.Identity | None]:
    return {path: _identity(path) for path in paths}


def _identity(path: Path) -> files.Identity | None:
    try:
        return files.identity(path)
    except StoreError:
        return None

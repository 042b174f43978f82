"""Noticing that another process has signed an account in or out, without a request having to find out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jmap_proxy import files
from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jmap_proxy.tokens.refresher import TokenRefresher

INTERVAL = 1.0
"""Seconds between two looks."""


class StoreWatch:
    """Looks at the token files' identity (one stat call each) and lets a refresher look when its file has changed.

    Args:
        refreshers: By token file.
    """

    def __init__(self, refreshers: Mapping[Path, TokenRefresher]) -> None:
        self._refreshers = refreshers
        self._seen = _identities(refreshers)

    async def run(self) -> None:
        """Look for ever; to be cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        seen = await asyncio.to_thread(_identities, self._refreshers)
        changed = [path for path, identity in seen.items() if identity != self._seen[path]]
        self._seen = seen
        for path in changed:
            await self._refreshers[path].look()


def _identities(paths: Mapping[Path, TokenRefresher]) -> dict[Path, files.Identity | None]:
    return {path: _identity(path) for path in paths}


def _identity(path: Path) -> files.Identity | None:
    try:
        return files.identity(path)
    except StoreError:
        return None  # what is wrong with it is told when the tokens are needed

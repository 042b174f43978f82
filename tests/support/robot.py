"""A robot in the place of the user's browser, for a sign-in that runs in the test's own process."""

from __future__ import annotations

import asyncio

from jmap_proxy.sandbox import browse


class RobotBrowser:
    """Opens the URLs that a sign-in gives it, as a patient user would."""

    def __init__(self) -> None:
        self._visits: list[asyncio.Task[tuple[int, str]]] = []

    def open(self, url: str) -> None:
        """Begin a visit."""
        self._visits.append(asyncio.create_task(browse(url)))

    async def pages(self) -> list[str]:
        """The last page of every visit, once all are over."""
        return [page for _, page in await asyncio.gather(*self._visits)]

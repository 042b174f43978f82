"""Looking at something for a limited time, and collecting what was found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from jmap_proxy.doctor.finding import Finding, error, told, warning
from jmap_proxy.errors import JmapProxyError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


class Looks:
    """The findings so far, and how long one look may take.

    Args:
        limit: Seconds.

    Attributes:
        findings: In the order in which they came.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.findings: list[Finding] = []

    async def take(self, what: str, look: Awaitable[T], otherwise: T, *, steps: int = 1) -> T:
        """What the look gives; where it gives nothing in time, or fails, that is a finding itself.

        Args:
            what: What is looked at, for the finding.
            look: Takes at most the limit for each of its steps.
            otherwise: Given instead.
            steps: Of the look.
        """
        end = self.limit * steps
        try:
            async with asyncio.timeout(end):
                return await look
        except TimeoutError:
            mend = "see what hangs there (a file system, a keyring, a server, a full disk), then run: jmap-proxy doctor"
            self.findings.append(warning("no-answer", f"{what}: nothing is known after {end:g} s", mend))
        except JmapProxyError as trouble:
            self.findings.append(told("look-failed", trouble, mend="run: jmap-proxy status"))
        except Exception as trouble:  # noqa: BLE001 - one look that fails must not hide what the others find
            what = f"{what}: unforeseen {type(trouble).__name__}"
            self.findings.append(error("look-failed", what, "this is a fault of jmap-proxy's: please report it"))
        return otherwise

    async def add(self, what: str, look: Awaitable[list[Finding]], *, steps: int = 1) -> None:
        """As `take`, for a look that gives findings."""
        self.findings += await self.take(what, look, [], steps=steps)

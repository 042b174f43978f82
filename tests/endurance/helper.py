"""A program of this folder as a process of its own, told by lines on its stdin what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKOUT = Path(__file__).parents[2]


class Helper(Program):
    """A module of this folder that runs as a process of its own."""

    @classmethod
    async def launch(cls, module: str, *args: str, env: Mapping[str, str]) -> Self:
        """Start `python -m tests.endurance.MODULE` with these arguments."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"tests.endurance.{module}",
                *args,
                cwd=CHECKOUT,
                start_new_session=True,
                env={**os.environ, **env},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def hang_up(self) -> None:
        """Close its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def end_all(self) -> None:
        """Kill it and everything that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.end()

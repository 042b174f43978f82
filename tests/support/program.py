"""A command of the program as a process of its own. What it is told to work with belongs to `world`."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping

TIME_LIMIT = 45
"""Seconds after which a test gives up on a program."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Program:
    """A command that runs as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out: list[str] = []
        self._stdout = process.stdout
        self._said = asyncio.create_task(process.stderr.read())

    @classmethod
    async def start(cls, *args: str, env: Mapping[str, str], stdin: int = asyncio.subprocess.DEVNULL) -> Self:
        """Start `python -m jmap_proxy` with these arguments."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jmap_proxy",
                *args,
                env={**os.environ, **env},
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    async def line(self) -> str:
        """The next line of stdout."""
        async with asyncio.timeout(TIME_LIMIT):
            line = (await self._stdout.readline()).decode()
        self.out.append(line)
        if not line:
            raise AssertionError(f"it ended: {(await self.end()).err}")
        return line.rstrip("\n")

    async def end(self, *signals: signal.Signals) -> Ended:
        """Send signals and wait for the end."""
        for number in signals:
            self.process.send_signal(number)
        async with asyncio.timeout(TIME_LIMIT):
            self.out.append((await self._stdout.read()).decode())
            err = (await self._said).decode()
            return Ended(await self.process.wait(), "".join(self.out), err)

    def memory(self, field_name: str) -> int:
        """Bytes of its memory: "VmRSS" now, "VmHWM" at its highest (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field_name}:"):
                return int(line.split()[1]) << 10
        raise LookupError(field_name)

"""Programs that are pinned to a core, and what the kernel knows of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

END = 10.0
"""Seconds that a program gets to end."""

_ports: set[int] = set()


def free_port() -> int:
    """A port that the kernel chooses; none twice, for programs that cannot be told to let it choose."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _ports:
            _ports.add(port)
            return port


class Pinned:
    """A program on one core, while the context is open. What it says is kept in a file beside its configuration.

    Args:
        core: Its core.
        argv: The program and its arguments.
        log: Where its words go.
        env: Is added to our environment.
    """

    def __init__(self, core: int, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self._argv = ["taskset", "--cpu-list", str(core), *argv]
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv, env=self._env, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """See that it runs. Raises RuntimeError with its last words."""
        if self._running().returncode is not None:
            raise RuntimeError(f"{self._argv[3]} has ended: {self.said[-2000:]}")

    def memory(self) -> int:
        """Bytes that it and its children hold, each shared page divided among those that share it (PSS)."""
        return sum(_pss(pid) for pid in _family(self.pid))

    def cpu_seconds(self) -> float:
        """Seconds of processor time that it and its children have used."""
        return sum(_cpu_ticks(pid) for pid in _family(self.pid)) / os.sysconf("SC_CLK_TCK")

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process


def children(pid: int) -> list[int]:
    """The processes that a process has started, and that run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _family(pid: int) -> list[int]:
    return [pid, *(each for child in children(pid) for each in _family(child))]


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise LookupError(pid)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

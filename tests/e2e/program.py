"""A foreign program that runs beside the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_POLL_SECONDS = 0.05
_STOP_SECONDS = 15.0


class ProgramError(AssertionError):
    """A program did not do what the harness waits for; the message holds what it said."""


class Program:
    """One process in a group of its own, with what it says kept in files.

    Args:
        name: What the files and the complaints call it.
        argv: The command.
        folder: Where its `NAME.out` and `NAME.err` go.
        env: What to add to a minimal environment.
    """

    def __init__(self, name: str, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        self._argv = list(argv)
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts the process; returns at once."""
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self._env,
                cwd=self.out.parent,
                start_new_session=True,
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        if self._process is None:
            raise ProgramError(f"{self.name} was not started")
        return self._process

    def until(self, probe: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
        """Polls until `probe` has an answer; fails once the time is up or the program has ended without one."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll()
            if (answer := probe()) is not None:
                return answer
            if ended is not None:
                raise ProgramError(f"{self.name} ended with {ended}, {what} never came\n{self.said()}")
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.name}: {what} did not come within {seconds:g} s\n{self.said()}")
            time.sleep(_POLL_SECONDS)

    def line(self, prefix: str, seconds: float = 20.0) -> str:
        """The first whole line of stdout that starts with `prefix`."""
        return self.until(lambda: _line_with(self.out, prefix), f"a line {prefix!r}…", seconds)

    def wait(self, seconds: float) -> int:
        """The exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise ProgramError(f"{self.name} did not end within {seconds:g} s\n{self.said()}") from late

    def stop(self) -> int | None:
        """Asks the program to end, and ends its group if it does not; None when it had to be killed."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return None

    def said(self, lines: int = 60) -> str:
        """The end of what it wrote."""
        return "\n".join(f"--- {file.name}\n{tail(file, lines)}" for file in (self.out, self.err))


def tail(file: Path, lines: int) -> str:
    """The last lines of a file that may not exist."""
    if not file.exists():
        return ""
    return "\n".join(file.read_text("utf-8", "replace").splitlines()[-lines:])


def _line_with(file: Path, prefix: str) -> str | None:
    lines = file.read_text("utf-8", "replace").splitlines(keepends=True)
    return next((line.rstrip("\r\n") for line in lines if line.startswith(prefix) and line.endswith("\n")), None)

"""`python -m bench.sampled FILE ...`: jmap-proxy with these arguments; FILE gets what Python did while time was used.

The kernel sends a signal for each bit of processor time (a tick: 4 ms on most machines). The interpreter sees it after
the call that it is in, or as the next function begins: that has not done anything yet, so its caller is noted. The
program is never stopped, and a system call counts for the function that made it; but what is read from a socket, before
any function is called, counts for the loop.
"""

from __future__ import annotations

import atexit
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from jmap_proxy.cli import main

if TYPE_CHECKING:
    from types import CodeType, FrameType

TICK = 0.001
"""Seconds of processor time; the kernel takes longer where its ticks are."""

LOOP = "Runner.run"
"""Below it is all that the loop's thread does."""


def stack_of(frame: FrameType | None) -> tuple[CodeType, ...] | None:
    """What was under way below the loop, innermost first; () for the loop itself, None for what is outside of it."""
    if frame is not None and frame.f_lineno == frame.f_code.co_firstlineno:
        frame = frame.f_back
    codes: list[CodeType] = []
    while frame is not None and frame.f_code.co_qualname != LOOP:
        codes.append(frame.f_code)
        frame = frame.f_back
    return None if frame is None else tuple(codes)


def name_of(code: CodeType) -> str:
    """The file, from the package on, and the function."""
    path = code.co_filename.replace("\\", "/")
    for package in ("jmap_proxy/", "aiohttp/"):
        if package in path:
            return f"{package}{path.rpartition(package)[2]}:{code.co_qualname}"
    return f"{Path(path).name}:{code.co_qualname}"


def _sample(to: Path) -> None:
    counts = Counter[tuple["CodeType", ...]]()

    def note(_number: int, frame: FrameType | None) -> None:
        stack = stack_of(frame)
        if stack is not None:
            counts[stack] += 1

    def write() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = [f"{';'.join(name_of(code) for code in reversed(stack))} {count}" for stack, count in counts.items()]
        to.write_text("\n".join([*lines, ""]))

    signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
    atexit.register(write)


if __name__ == "__main__":
    _sample(Path(sys.argv.pop(1)))
    main()

"""The proxy as `serve` runs it, with a clock that is set on by hand, and with somebody who counts what it holds.

Its argument is the configuration file. On stdout come its origin, and for each line "count" on stdin what it holds.
"rest" is answered when no refresh is going on; "step SECONDS" sets the clock on. It ends with its stdin.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import run
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.config import load_config
from jmap_proxy.log import Levels, configure_logging


class SteppedClock:
    """The time, and so many seconds more."""

    ahead = 0.0

    def __call__(self) -> float:
        """Epoch seconds."""
        return time.time() + self.ahead


async def lines() -> asyncio.StreamReader:
    """Stdin, off the event loop."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def holdings() -> dict[str, int]:
    """What this process holds now."""
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "objects": len(gc.get_objects()),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"),
    }


async def come_to_rest() -> None:
    """Wait until no refresh is going on."""
    while refreshes := [task for task in asyncio.all_tasks() if task.get_name().startswith("refresh ")]:
        await asyncio.wait(refreshes)


async def observed(config: Path) -> None:
    """Serve until stdin ends."""
    clock = SteppedClock()
    async with Assembly(load_config(config), clock=clock) as assembly, running_proxy(assembly) as addresses:
        print(addresses.http, flush=True)
        async for line in await lines():
            match line.decode().split():
                case ["step", seconds]:
                    clock.ahead += float(seconds)
                case ["rest"]:
                    await come_to_rest()
                    print("at rest", flush=True)
                case ["count"]:
                    print(json.dumps(holdings()), flush=True)


if __name__ == "__main__":
    configure_logging(Levels("warning"))
    run(observed(Path(sys.argv[1])))

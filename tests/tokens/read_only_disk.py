"""A program for a mount namespace of its own: tokens are refreshed while their disk takes no writes, and after that.

    python -m tests.tokens.read_only_disk FOLDER

Prints what came of it, a line each.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from structlog.testing import capture_logs

from jmap_proxy.tokens import create_token_refresher
from jmap_proxy.tokens.keychain import Keychain, key_places
from jmap_proxy.tokens.store import FileTokenStore
from tests.support.clock import Clock
from tests.tokens.builders import HOUR, Provider, refreshed, token_set


def mount(*args: str) -> None:
    """Mount something in this namespace."""
    subprocess.run(["mount", *args], check=True)  # noqa: S603, S607


async def main(state: Path) -> None:
    """Live through it."""
    keys = Keychain(state, key_places(state, {}), "file")
    store, clock = FileTokenStore(state / "tokens", "alice", keys), Clock()
    provider = Provider(*(refreshed(number, rotated=f"refresh-{number}") for number in (2, 3, 4)))
    async with store.lock():
        await store.save(token_set())
    refresher = await create_token_refresher("alice", store, provider, clock=clock, jitter=lambda: 0.0)
    mount("-o", "remount,bind,ro", str(state))
    for _ in range(2):
        clock.now += HOUR + 1
        print(await refresher.ensure_valid_token(), refresher.report().state.value)
    mount("-o", "remount,bind,rw", str(state))
    await refresher.wait_saved()
    stored = await store.load()
    print(refresher.report().state.value, stored and stored.generation, *provider.asked)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    mount("--bind", str(place), str(place))
    with capture_logs():
        asyncio.run(main(place))

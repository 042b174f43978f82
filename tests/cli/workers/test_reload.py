"""The configuration exchanged while several workers serve: everywhere, or nowhere."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import Fault
from tests.cli.test_serve import listens
from tests.support.manager import manager_at
from tests.support.ports import free_port
from tests.support.team import Team, team

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.manager import Manager
    from tests.support.world import World

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
    pytest.mark.timeout(120),
]

STREAMS = 16
ASKED = 12
"""Connections, so many that there are some to each worker."""


@asynccontextmanager
async def managed(world: World, size: int) -> AsyncIterator[tuple[Team, Manager]]:
    """A team whose service manager is told of reloads."""
    with manager_at(world.folder) as manager:
        async with team(world, size, env=manager.env) as served:
            assert (await manager.message())[0] == "READY=1"
            yield served, manager


async def reload(served: Team, manager: Manager) -> None:
    """Let it take its file up, and wait for the end of that."""
    served.program.process.send_signal(signal.SIGHUP)
    await manager.message_of("RELOADING=1")
    await manager.message_of("READY=1")


def change(world: World, old: str, new: str) -> None:
    """Write the file anew, as editors do."""
    changed = world.config.with_suffix(".new")
    changed.write_text(world.config.read_text().replace(old, new))
    changed.replace(world.config)


async def statuses(served: Team, origin: str = "", **fields: str) -> set[int]:
    """What comes of a request by each of many connections."""
    seen = set()
    for _ in range(ASKED):
        url = f"{origin or served.origin}/.well-known/jmap"
        async with served.client() as client, client.get(url, headers=fields) as response:
            seen.add(response.status)
    return seen


async def test_all_workers_take_a_changed_file_up(world: World) -> None:
    """Names and ports; the streams of before go on, on all of them, and nobody asks for a token."""
    async with managed(world, 2) as (served, manager), AsyncExitStack() as stack:
        client = await stack.enter_async_context(served.client())
        streams = [await stack.enter_async_context(served.stream(client)) for _ in range(STREAMS)]
        asked = len(world.idp.token_requests)
        assert await statuses(served, Host="mail.lan") == {421}
        change(world, "[listen]", '[listen]\nhosts = ["mail.lan"]')
        await reload(served, manager)
        assert await statuses(served, Host="mail.lan") == {200}
        port, old = free_port(), served.origin
        change(world, 'http = "127.0.0.1:0"', f'http = "127.0.0.1:{port}"')
        await reload(served, manager)
        assert await statuses(served, f"http://127.0.0.1:{port}") == {200}
        assert not await listens(old)
        world.mail.push_state()
        for stream in streams:
            assert (await stream.readuntil(b"\n\n")).startswith(b"event: state")
        assert len(world.idp.token_requests) == asked
        ended = await served.stop()
        assert ended.err.count("configuration taken up") == 2


async def test_a_worker_that_is_replaced_goes_by_what_was_taken_up(world: World) -> None:
    """And not by what it was when the supervisor started."""
    async with managed(world, 2) as (served, manager):
        port = free_port()
        change(world, 'http = "127.0.0.1:0"', f'hosts = ["mail.lan"]\nhttp = "127.0.0.1:{port}"')
        await reload(served, manager)
        os.kill(served.workers[0], signal.SIGKILL)
        os.kill(served.workers[1], signal.SIGKILL)
        await served.until_replaced(2, 2)
        assert await statuses(served, f"http://127.0.0.1:{port}", Host="mail.lan") == {200}


@pytest.mark.parametrize("old", ["[listen]", "issuer", "client_id"])
async def test_a_file_that_cannot_be_used_changes_nothing(world: World, old: str) -> None:
    """For any of them; a good one is taken up after that."""
    async with managed(world, 2) as (served, manager):
        workers, good = served.workers, world.config.read_text()
        change(world, old, 'client_secret_file = "/none"\nclient_id' if old == "client_id" else f"x{old}")
        await reload(served, manager)
        assert await statuses(served) == {200}
        world.config.write_text(good)
        change(world, "[listen]", '[listen]\nhosts = ["mail.lan"]')
        await reload(served, manager)
        assert await statuses(served, Host="mail.lan") == {200}
        assert served.workers == workers
        ended = await served.stop()
        assert ended.err.count("is not taken up, all goes on as before") == 1


async def test_what_one_worker_cannot_take_up_no_worker_does(world: World) -> None:
    """It alone holds tokens that could not be saved; the others are as before, too, and say nothing of it."""
    async with managed(world, 2) as (served, manager):
        world.mail.refused_tokens.add((await world.stored()).access_token)
        fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
        asking = asyncio.create_task(served.session())
        await fault.entered.wait()
        world.token_file.chmod(0o644)  # what others could have read is not overwritten
        assert fault.hold is not None
        fault.hold.set()
        assert (await asking)[0] == 200
        async with aiohttp.ClientSession() as client, client.get(f"{served.admin}/readyz") as response:
            assert (await response.json())["accounts"]["alice"]["state"] == "unsaved"
        port = free_port()
        old = world.config.read_text()
        change(world, 'http = "127.0.0.1:0"', f'hosts = ["mail.lan"]\nhttp = "127.0.0.1:{port}"')
        change(world, "[accounts.alice]", "[accounts.alice]\nkeep_alive = 3")
        await reload(served, manager)
        assert not await listens(f"http://127.0.0.1:{port}")
        assert 421 in await statuses(served, Host="mail.lan")
        assert 200 not in await statuses(served, Host="mail.lan")
        world.token_file.chmod(0o600)
        world.config.write_text(old)
        ended = await served.stop()
        assert ended.err.count("latest tokens could not be saved") == 1


async def test_https_is_switched_on(world: World) -> None:
    """With the certificate of `jmap-proxy cert`, by all workers."""
    async with managed(world, 2) as (served, manager):
        port = free_port()
        change(world, "[listen]", f'[listen]\nhttps = "127.0.0.1:{port}"')
        await reload(served, manager)  # there is no certificate yet
        assert not await listens(f"http://127.0.0.1:{port}")
        await world.invoke("cert")
        await reload(served, manager)
        for _ in range(ASKED):
            url = f"https://127.0.0.1:{port}/.well-known/jmap"
            async with served.client() as client, client.get(url, ssl=False) as response:
                assert response.status == 200

"""`serve --workers` with real processes: what several of them do as one would."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.activated import start_activated
from tests.support.certificates import private_authority
from tests.support.manager import manager_at
from tests.support.team import Team, team

if TYPE_CHECKING:
    from tests.support.world import World

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
    pytest.mark.timeout(120),
]

STREAMS = 24
CALLERS = 8
GROWING = ("_total", "_bucket", "_count", "_sum")


async def test_four_workers_refresh_once_a_generation(world: World) -> None:
    """Tokens of 3 s, a strict provider, load on all: one token request a generation, and every call is answered."""
    world.idp.settings.access_token_life = 3.0
    async with team(world, 4) as served:
        api = (await served.session())[1]["apiUrl"]
        first = (await world.stored()).generation

        async def keep_calling() -> set[int]:
            statuses = set()
            async with served.client() as client:
                while (await world.stored()).generation < first + 4:
                    statuses.add(await served.call(client, api))
            return statuses

        assert set().union(*await asyncio.gather(*(keep_calling() for _ in range(CALLERS)))) == {200}
    refreshes = [each.outcome for each in world.idp.token_requests if each.grant_type == "refresh_token"]
    assert refreshes == ["ok"] * ((await world.stored()).generation - 1)


async def test_500_callers_at_expiry(world: World) -> None:
    """Spread over four workers that all hold an expired token: one token request, 500 good answers."""
    key = (await world.sign_in()).local_key
    await world.age(4000)
    async with team(world, 4, key) as served, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(served.client()) for _ in range(20)]

        async def ask(client: aiohttp.ClientSession) -> int:
            async with client.get(f"{served.origin}/.well-known/jmap") as response:
                return response.status

        asked = await asyncio.gather(*(ask(client) for client in clients for _ in range(25)))
        assert asked == [200] * 500
    refreshes = [each.outcome for each in world.idp.token_requests if each.grant_type == "refresh_token"]
    assert refreshes == ["ok"]


async def test_metrics_are_added_up_and_never_go_back(world: World) -> None:
    """Over all workers, also while one is killed; the sum is exact where none was."""
    async with team(world, 3) as served:
        for _ in range(30):
            assert (await served.session())[0] == 200
        assert (await served.session(key="wrong"))[0] == 401
        assert await served.metric("requests_total", kind="session", status="200") == 30
        assert await served.metric("requests_total", kind="other", status="401") == 1
        before = await served.metrics()
        os.kill(served.workers[1], signal.SIGKILL)
        await served.until_replaced(1, 3)
        assert (await served.session())[0] == 200
        after = await served.metrics()
        for each, old in before.items():
            if each[0].endswith(GROWING):
                assert after[each] >= old
        assert after["requests_total", frozenset({("kind", "session"), ("status", "200")})] == 31


async def test_open_streams_of_all_workers(world: World) -> None:
    """Are counted together; those of a sign-out end on all."""
    async with team(world, 2) as served, AsyncExitStack() as stack:
        client = await stack.enter_async_context(served.client())
        streams = [await stack.enter_async_context(served.stream(client)) for _ in range(STREAMS)]
        assert await served.metric("open_streams", account="alice", kind="events") == STREAMS
        await world.assembly().store("alice").remove()
        assert await asyncio.gather(*(stream.read() for stream in streams)) == [b""] * STREAMS
        async with aiohttp.ClientSession() as other, other.get(f"{served.admin}/readyz") as response:
            assert (await response.json())["accounts"]["alice"]["state"] == "needs_login"


async def test_a_new_local_key_and_a_new_sign_in_reach_all_workers(world: World) -> None:
    """At once: the old key opens none of them."""
    async with team(world, 3) as served:
        old, served.key = served.key, world.assembly().local_keys.renew("alice")
        for _ in range(12):
            assert (await served.session(key=old))[0] == 401
            assert (await served.session())[0] == 200
        await world.assembly().store("alice").remove()
        await served.world.sign_in()
        served.key = world.assembly().local_keys.renew("alice")
        for _ in range(12):
            assert (await served.session())[0] == 200


async def test_https_the_unix_socket_and_a_port_of_its_own(world: World) -> None:
    """By every way in; the socket's file goes with the supervisor."""
    key = (await world.sign_in()).local_key
    ca_file, _ = private_authority(world.folder)
    leaf = world.folder / "leaf.pem"
    world.write_config('listen = "127.0.0.1:0"')
    listen = f'[listen]\nunix = "s"\nhttps = "127.0.0.1:0"\ncert_file = "{leaf}"\nkey_file = "{leaf}"'
    world.config.write_text(world.config.read_text().replace("[listen]", listen))
    async with team(world, 2, key, lines=5) as served:
        https = served.lines[1].removeprefix("listening on ")
        own = served.lines[4].removeprefix("account alice alone on ")
        path = world.state / "s"
        assert served.lines[3] == f"unix socket {path}"
        trust = ssl.create_default_context(cafile=ca_file)
        for _ in range(6):
            assert (await served.session(own))[0] == 200
            async with served.client() as client, client.get(f"{https}/.well-known/jmap", ssl=trust) as response:
                assert (await response.json())["apiUrl"].startswith(https)
            connector = aiohttp.UnixConnector(str(path))
            async with (
                aiohttp.ClientSession(connector=connector) as client,
                client.get("http://localhost/.well-known/jmap") as response,
            ):
                assert response.status == 200
        await served.stop()
        assert not path.exists()


async def test_sockets_of_a_service_manager(world: World) -> None:
    """Are shared by all workers."""
    key = (await world.sign_in()).local_key
    with socket.create_server(("127.0.0.1", 0)) as shared:
        origin = f"http://127.0.0.1:{shared.getsockname()[1]}"
        arguments = ("serve", "--workers", "2", "--config", str(world.config))
        program = await start_activated([("http", shared)], *arguments, env=world.env)
        world.programs.append(program)
    served = Team(world, program, [await program.line() for _ in range(2)], key)
    assert served.origin == origin
    for _ in range(6):
        assert (await served.session())[0] == 200
    os.kill(served.workers[0], signal.SIGKILL)
    await served.until_replaced(1, 2)
    assert (await served.session())[0] == 200
    await served.stop()


async def test_the_service_manager_is_told_by_the_supervisor(world: World) -> None:
    """Ready when all workers serve, signs of life, the end."""
    key = (await world.sign_in()).local_key
    with manager_at(world.folder) as manager:
        async with team(world, 2, key, env={**manager.env, "WATCHDOG_USEC": "200000"}) as served:
            assert await manager.message() == ["READY=1", f"STATUS=serving at {served.origin}"]
            assert await served.metric("workers") == 2
            assert await manager.message_of("WATCHDOG=1")
            served.program.process.terminate()
            assert await manager.message_of("STOPPING=1")
            assert (await served.program.end()).code == 0


async def test_the_hook_runs_once_for_all(world: World) -> None:
    """However many of them find out that the sign-in is lost."""
    told = world.folder / "told"
    script = "import os, sys; open(sys.argv[1], 'a').write(os.environ['JMAP_PROXY_ACCOUNT'] + '\\n')"
    key = (await world.sign_in()).local_key
    await world.age(4000)
    world.idp.revoke_grants()
    hook = f"[hooks]\non_sign_in_needed = ['{sys.executable}', '-c', '''{script}''', '{told}']"
    world.config.write_text(f"{world.config.read_text()}\n{hook}\n")
    async with team(world, 3, key) as served:
        for _ in range(30):
            assert (await served.session())[0] == 503
        await served.stop()
    assert told.read_text() == "alice\n"


async def test_it_is_ready_when_its_workers_are(world: World) -> None:
    """What one of them cannot do shows in /readyz, whoever is asked."""
    async with team(world, 2) as served:
        async with aiohttp.ClientSession() as client, client.get(f"{served.admin}/readyz") as response:
            assert (response.status, (await response.json())["accounts"]["alice"]["state"]) == (200, "ok")
        world.idp.revoke_grants()
        world.mail.refuse_all = True
        assert (await served.session())[0] == 503
        async with aiohttp.ClientSession() as client, client.get(f"{served.admin}/readyz") as response:
            assert (response.status, (await response.json())["accounts"]["alice"]["state"]) == (503, "needs_login")
        async with aiohttp.ClientSession() as client, client.get(f"{served.admin}/healthz") as response:
            assert response.status == 200
        async with aiohttp.ClientSession() as client, client.get(f"{served.admin}/") as response:
            page = await response.text()
        assert "A new sign-in is needed" in page
        assert "jmap-proxy login alice" in page  # of the error that the worker has answered with


async def test_one_worker_is_no_worker(world: World) -> None:
    """The default is the one process."""
    async with team(world, 1) as served:
        assert served.workers == []
        assert ("workers", frozenset()) not in await served.metrics()
        assert (await served.session())[0] == 200

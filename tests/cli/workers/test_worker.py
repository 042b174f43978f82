"""`serve --workers` with real processes: what it is to lose a worker, to lose the supervisor, to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest

from jmap_proxy.cli.workers.channel import HEAD
from jmap_proxy.cli.workers.messages import Prepared
from jmap_proxy.cli.workers.process import WorkerProcess
from jmap_proxy.cli.workers.supervising import worker_command
from jmap_proxy.config import Account, load_config
from jmap_proxy.errors import StoreError
from jmap_proxy.log import Levels
from jmap_proxy.sandbox import Fault
from tests.cli.test_serve import listens
from tests.support.program import TIME_LIMIT
from tests.support.team import gone, team

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.world import World

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc"),
    pytest.mark.timeout(120),
]

STREAMS = 24
CALLERS = 8


async def test_a_worker_that_is_killed_under_load(world: World) -> None:
    """Only what was in flight on it fails: the others' streams go on, all are served after that, it is replaced."""
    async with team(world, 2) as served, AsyncExitStack() as stack:
        client = await stack.enter_async_context(served.client())
        streams = [await stack.enter_async_context(served.stream(client)) for _ in range(STREAMS)]
        api = (await served.session())[1]["apiUrl"]
        over, statuses, failures = asyncio.Event(), list[int](), list[int]()

        async def keep_calling() -> None:
            async with served.client() as own:
                failed = 0
                while not over.is_set():
                    try:
                        statuses.append(await served.call(own, api))
                    except (aiohttp.ClientError, OSError):
                        failed += 1
                failures.append(failed)

        load = asyncio.gather(*(keep_calling() for _ in range(CALLERS)))
        os.kill(served.workers[0], signal.SIGKILL)
        await served.until_replaced(1, 2)
        over.set()
        await load
        world.mail.push_state()
        heard = await asyncio.gather(*map(first_event, streams))
        assert 0 < heard.count(True) < STREAMS
        assert set(statuses) == {200}
        assert max(failures) <= 1
        assert len(served.workers) == 2
        assert "a worker has ended and is replaced" in (await served.stop()).err


async def first_event(stream: aiohttp.StreamReader) -> bool:
    """Whether the stream is open and tells of a change."""
    try:
        return (await stream.readuntil(b"\n\n")).startswith(b"event: state")
    except (aiohttp.ClientError, asyncio.IncompleteReadError, ValueError):
        return False


async def test_a_killed_supervisor_takes_its_workers_with_it(world: World) -> None:
    """However it ends; what they are answering comes whole, and the port is free then."""
    async with team(world, 2) as served:
        api = (await served.session())[1]["apiUrl"]
        fault = world.mail.faults.add("api", Fault(hold=asyncio.Event()))
        workers = served.workers
        async with served.client() as client:
            call = asyncio.create_task(served.call(client, api))
            await fault.entered.wait()
            served.program.process.kill()
            await gone(served.program.process.pid)
            assert fault.hold is not None
            fault.hold.set()
            assert await call == 200
        for worker in workers:
            await gone(worker)
        assert not await listens(served.origin)
        await served.program.end()


@pytest.mark.parametrize("to_all", [True, False])
async def test_requests_in_flight_finish(world: World, *, to_all: bool) -> None:
    """After SIGTERM nobody new comes in, but the answer that is under way comes whole; no worker is left.

    Also if each process gets it, as systemd does it (KillMode=control-group).
    """
    async with team(world, 3) as served, served.client() as client:
        api, workers = (await served.session())[1]["apiUrl"], served.workers
        fault = world.mail.faults.add("api", Fault(hold=asyncio.Event()))
        call = asyncio.create_task(served.call(client, api))
        await fault.entered.wait()
        for process in (served.program.process.pid, *(workers if to_all else ())):
            os.kill(process, signal.SIGTERM)
        async with asyncio.timeout(TIME_LIMIT):
            while await listens(served.origin):
                pass
        assert served.program.runs
        assert fault.hold is not None
        fault.hold.set()
        assert await call == 200
        ended = await served.program.end()
        assert (ended.code, "is replaced" in ended.err) == (0, False)
        for worker in workers:
            await gone(worker)


async def test_a_second_signal_ends_all_at_once(world: World) -> None:
    """Who will not wait for the requests in flight need not."""
    async with team(world, 2) as served, served.client() as client:
        api, workers = (await served.session())[1]["apiUrl"], served.workers
        fault = world.mail.faults.add("api", Fault(hold=asyncio.Event()))
        call = asyncio.create_task(served.call(client, api))
        await fault.entered.wait()
        served.program.process.terminate()
        async with asyncio.timeout(TIME_LIMIT):
            while await listens(served.origin):
                pass
        served.program.process.terminate()
        with pytest.raises(aiohttp.ClientError):
            await call
        for worker in workers:
            await gone(worker)
        assert (await served.program.end()).code == -signal.SIGTERM


async def test_a_worker_that_is_told_to_end_finishes_and_is_replaced(world: World) -> None:
    """SIGTERM to a worker alone: its request in flight comes whole."""
    async with team(world, 2) as served, AsyncExitStack() as stack:
        api = (await served.session())[1]["apiUrl"]
        hold = asyncio.Event()
        faults = [world.mail.faults.add("api", Fault(hold=hold)) for _ in range(STREAMS)]
        calls = []
        for _ in range(STREAMS):  # so many that there are some on each
            client = await stack.enter_async_context(served.client())
            calls.append(asyncio.create_task(served.call(client, api)))
        for fault in faults:
            await fault.entered.wait()
        os.kill(served.workers[0], signal.SIGTERM)
        hold.set()
        assert set(await asyncio.gather(*calls)) == {200}
        await served.until_replaced(1, 2)
        os.kill(served.workers[0], signal.SIGHUP)  # that is for the supervisor alone
        assert (await served.session())[0] == 200
        assert await served.metric("worker_replacements_total") == 1


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ('client_secret_file = "/none"', 78, "accounts.alice.client_secret_file"),
        ('listen = "127.0.0.1:{}"', 75, "listen on"),
    ],
)
async def test_a_configuration_that_cannot_be_used_ends_all(world: World, line: str, code: int, told: str) -> None:
    """With the error, once, and its exit code; no worker is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        world.write_config(line.format(taken.getsockname()[1]))
        ended = await (await world.start("serve", "--workers", "2")).end()
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.count(told) == 1


async def test_a_worker_that_is_killed_in_the_middle_of_a_refresh(world: World) -> None:
    """It frees the lock, and the others ask in its place: the sign-in is not lost, and nobody is refused."""
    key = (await world.sign_in()).local_key
    await world.age(4000)
    async with team(world, 2, key) as served:
        fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
        asking = asyncio.create_task(served.session())
        await fault.entered.wait()
        for worker in served.workers:
            os.kill(worker, signal.SIGKILL)
        assert (await asking)[0] == 200  # its client has asked again (RFC 9110 §9.2.2), and waited for the next worker
        await served.until_replaced(2, 2)
        assert (await served.session())[0] == 200
        assert fault.hold is not None
        fault.hold.set()
        assert (await served.session())[0] == 200
    assert "invalid_grant" not in [each.outcome for each in world.idp.token_requests]


@asynccontextmanager
async def alone(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerProcess]:
    """A worker without a supervisor."""
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)
    worker = await WorkerProcess.start(worker_command(Levels("critical"), "json"), lambda _: None)
    try:
        yield worker
    finally:
        worker.kill()
        await worker.ended()


async def test_a_worker_is_stopped_while_it_waits_for_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends well, and waits no more."""
    await world.sign_in()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with alone(world, monkeypatch) as worker:
            await worker.prepare(load_config(world.config), {"http": [listening]})
            await worker.stop(TIME_LIMIT)
            assert await worker.ended() == 0


async def test_a_configuration_that_fails_in_an_unforeseen_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told as one that cannot be taken up; the worker goes on, and takes a good one."""
    await world.sign_in()
    good = load_config(world.config)
    bad = msgspec.structs.replace(
        good, accounts={"alice": Account(server="no URL", issuer=good.accounts["alice"].issuer)}
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with alone(world, monkeypatch) as worker:
            await worker.prepare(good, {"http": [listening]})
            await worker.decide(agreed=True)
            with pytest.raises(StoreError, match="unforeseen"):
                await worker.prepare(bad, {"http": [listening]})
            await worker.prepare(good, {"http": [listening]})
            await worker.decide(agreed=True)
            await worker.stop(TIME_LIMIT)
            assert await worker.ended() == 0


async def test_a_supervisor_of_another_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what a worker does not understand: it finishes, and another one can be started."""
    await world.sign_in()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with alone(world, monkeypatch) as worker:
            await worker.prepare(load_config(world.config), {"http": [listening]})
            await worker.decide(agreed=True)
            await worker._channel.send(Prepared())
            assert await worker.ended() == 0


@pytest.mark.parametrize("said", [b"", b"\0", HEAD.pack(2, 0) + b"{}", HEAD.pack(15, 0) + b'{"type":"Stop"}'])
async def test_a_supervisor_that_says_nothing_that_makes_sense(said: bytes) -> None:
    """Ends the worker, at once."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [*worker_command(Levels("critical"), "json"), str(theirs.fileno())]
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=[theirs.fileno()], stderr=asyncio.subprocess.DEVNULL
        )
        theirs.close()
        ours.sendall(said)
        ours.close()
        async with asyncio.timeout(TIME_LIMIT):
            assert await process.wait() == (1 if said.endswith(b"{}") else 0)

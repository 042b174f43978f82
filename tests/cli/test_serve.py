from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, UnixConnector

from jmap_proxy.cli.serve import MOST_FILES, file_limit
from jmap_proxy.sandbox import Fault, browse
from tests.support.activated import start_activated
from tests.support.manager import manager_at
from tests.support.program import TIME_LIMIT
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.program import Program
    from tests.support.world import World


async def session_of(client: ClientSession, origin: str, key: str) -> tuple[int, dict[str, Any]]:
    """The Session as a mail client gets it, or the problem."""
    async with client.get(f"{origin}/.well-known/jmap", headers=basic(key)) as response:
        return response.status, await response.json(content_type=None)


async def test_it_serves_those_who_have_the_key(world: World, client: ClientSession) -> None:
    """The Session comes with the key and not without it; a new key works at once, and the old one does not."""
    key = (await world.sign_in()).local_key
    program, origin = await world.serve()
    status, session = await session_of(client, origin, key)
    assert status == 200
    assert session["apiUrl"].startswith(origin)
    assert (await session_of(client, origin, "wrong"))[0] == 401

    renewed = (await world.invoke("key", "alice")).out.removeprefix("Local key: ").strip()
    assert (await session_of(client, origin, key))[0] == 401
    assert (await session_of(client, origin, renewed))[0] == 200

    ended = await program.end(signal.SIGTERM)
    assert ended.code == 0
    assert "Traceback" not in ended.err


async def listens(origin: str) -> bool:
    """Whether somebody answers there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@contextlib.asynccontextmanager
async def asking(world: World, client: ClientSession) -> AsyncIterator[tuple[Program, Fault, asyncio.Task[Any]]]:
    """A `serve` that was told to stop, and has stopped listening, while a request is held at the mail server."""
    key = (await world.sign_in()).local_key
    program, origin = await world.serve()
    fault = world.mail.faults.add("session", Fault(hold=asyncio.Event()))
    request = asyncio.create_task(session_of(client, origin, key))
    await fault.entered.wait()
    program.process.terminate()
    async with asyncio.timeout(TIME_LIMIT):
        while await listens(origin):
            pass
    try:
        yield program, fault, request
    finally:
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)


async def test_requests_in_flight_finish(world: World, client: ClientSession) -> None:
    """After SIGTERM nobody new comes in, but the answer that is under way comes whole."""
    async with asking(world, client) as (program, fault, request):
        assert fault.hold is not None
        fault.hold.set()
        assert (await request)[0] == 200
        assert (await program.end()).code == 0


async def test_a_second_signal_ends_it_at_once(world: World, client: ClientSession) -> None:
    """Who will not wait for the requests in flight need not."""
    async with asking(world, client) as (program, _, _):
        assert (await program.end(signal.SIGTERM)).code == -signal.SIGTERM


async def test_a_sign_in_while_it_runs_is_taken_up(world: World, client: ClientSession) -> None:
    """It starts without tokens, says who must sign in, and needs no restart after that."""
    key = world.assembly().local_keys.renew("alice")
    _, origin = await world.serve()
    status, problem = await session_of(client, origin, key)
    assert (status, problem["hint"]) == (503, "run: jmap-proxy login alice")
    login = await world.start("login", "alice", "--no-browser")
    await browse(await login.line())
    assert (await login.end()).code == 0
    assert (await session_of(client, origin, key))[0] == 200


@pytest.mark.parametrize("text", ["", '[listen]\nadmin = ""'])
async def test_without_accounts_there_is_nothing_to_serve(world: World, text: str) -> None:
    """Exit code 78 and what to add."""
    world.config.write_text(text)
    ended = await world.invoke("serve")
    assert ended.code == 78
    assert "hint: add a section [accounts.NAME]" in ended.err


async def test_sockets_of_a_service_manager(world: World, client: ClientSession) -> None:
    """Each replaces the address of its key; the others stay as they are, and a child is told of none."""
    key = (await world.sign_in()).local_key
    shared, alone = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    with shared, alone:
        program = await start_activated(
            [("http", shared), ("account-alice", alone)], "serve", "--config", str(world.config), env=world.env
        )
        world.programs.append(program)
        origin, own = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (shared, alone))
    lines = [await program.line() for _ in range(3)]
    assert lines == [
        f"listening on {origin}",
        f"admin on http://127.0.0.1:{world.admin_port}",
        f"account alice alone on {own}",
    ]
    for each in (origin, own):
        assert (await session_of(client, each, key))[0] == 200
    assert (await program.end(signal.SIGTERM)).code == 0


async def test_a_socket_of_a_service_manager_that_nobody_wants(world: World) -> None:
    """Exit code 78, and which names there are."""
    with socket.create_server(("127.0.0.1", 0)) as unknown:
        program = await start_activated([("smtp", unknown)], "serve", "--config", str(world.config), env=world.env)
    ended = await program.end()
    assert (ended.code, ended.out) == (78, "")
    assert "'smtp', which is none of http, https, admin, unix, account-alice" in ended.err


async def test_it_says_where_it_listens(world: World) -> None:
    """One line each, http and https first, for those who read them; the Unix socket works on uvloop, too."""
    await world.sign_in()
    world.write_config('listen = "127.0.0.1:0"')
    world.config.write_text(world.config.read_text().replace("[listen]", '[listen]\nunix = "s"\nhttps = "127.0.0.1:0"'))
    await world.invoke("cert")
    program = await world.start("serve")
    lines = [await program.line() for _ in range(5)]
    said = [
        "listening on http:",
        "listening on https:",
        "admin on ",
        f"unix socket {world.state / 's'}",
        "account alice",
    ]
    assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said
    connector = UnixConnector(str(world.state / "s"))
    async with (
        ClientSession(connector=connector) as client,
        client.get("http://localhost/.well-known/jmap") as response,
    ):
        assert (await response.json())["apiUrl"].startswith("http://localhost/")
    await program.end(signal.SIGTERM)


async def test_the_service_manager_is_told(world: World, client: ClientSession) -> None:
    """Ready when it listens, the begin and the end of each reload, also of one that fails, signs of life, the end."""
    key = (await world.sign_in()).local_key
    with manager_at(world.folder) as manager:
        program = await world.start("serve", **manager.env, WATCHDOG_USEC="200000")
        ready = await manager.message()
        origin = (await program.line()).removeprefix("listening on ")
        assert ready == ["READY=1", f"STATUS=serving at {origin}"]
        assert (await session_of(client, origin, key))[0] == 200
        for _ in range(2):
            assert await manager.message_of("WATCHDOG=1") == ["WATCHDOG=1"]
        for text in (world.config.read_text(), "not TOML"):
            world.config.write_text(text)
            program.process.send_signal(signal.SIGHUP)
            reloading = await manager.message_of("RELOADING=1")
            assert reloading[1].startswith("MONOTONIC_USEC=")
            assert await manager.message_of("READY=1") == ready
        assert (await session_of(client, origin, key))[0] == 200
        program.process.send_signal(signal.SIGTERM)
        assert await manager.message_of("STOPPING=1")
        assert (await program.end()).code == 0


async def test_signs_of_life_go_on_while_requests_finish(world: World, client: ClientSession) -> None:
    """The watchdog must not end a proxy that is told to stop and waits for an answer."""
    key = (await world.sign_in()).local_key
    with manager_at(world.folder) as manager:
        program = await world.start("serve", **manager.env, WATCHDOG_USEC="100000")
        origin = (await program.line()).removeprefix("listening on ")
        fault = world.mail.faults.add("session", Fault(hold=asyncio.Event()))
        request = asyncio.create_task(session_of(client, origin, key))
        await fault.entered.wait()
        program.process.terminate()
        await manager.message_of("STOPPING=1")
        for _ in range(3):
            assert await manager.message() == ["WATCHDOG=1"]
        assert fault.hold is not None
        fault.hold.set()
        assert (await request)[0] == 200
        assert (await program.end()).code == 0


@pytest.mark.parametrize(
    ("hard", "wanted"), [(4096, 4096), (MOST_FILES * 2, MOST_FILES), (resource.RLIM_INFINITY, MOST_FILES)]
)
def test_as_many_files_are_open_as_may_be(hard: int, wanted: int) -> None:
    """The soft limit is raised to the hard one, within reason; a higher one stays."""
    assert file_limit(256, hard) == wanted
    assert file_limit(wanted, hard) is None
    assert file_limit(resource.RLIM_INFINITY, hard) is None


async def test_the_limit_of_open_files_is_raised(world: World) -> None:
    """In the process that serves (Linux)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        program, _ = await world.serve()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE) == (file_limit(256, hard), hard)
    await program.end(signal.SIGTERM)

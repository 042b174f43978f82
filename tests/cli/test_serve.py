from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox import Fault, browse
from tests.support.program import TIME_LIMIT
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession

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

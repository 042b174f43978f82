"""kill -9 in the middle of a refresh, then start again."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import Fault

if TYPE_CHECKING:
    from tests.support.world import World


async def ask_session(origin: str, key: str) -> int:
    """The status of a request for the Session."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.get(f"{origin}/.well-known/jmap") as response,
    ):
        return response.status


async def kill_in_refresh(world: World, key: str, fault: Fault) -> None:
    """Let the proxy refresh because its token is refused, and kill it while the provider holds the answer."""
    world.idp.faults.add("token", fault)
    world.idp.revoke_access_tokens()
    program, origin = await world.serve()
    request = asyncio.create_task(ask_session(origin, key))
    await fault.entered.wait()
    await program.end(signal.SIGKILL)
    assert fault.hold is not None
    fault.hold.set()
    with pytest.raises(aiohttp.ClientError):
        await request


async def ask_after_start(world: World, key: str) -> int:
    """The status of a request for the Session at a proxy that has just started."""
    _, origin = await world.serve()
    return await ask_session(origin, key)


@pytest.mark.parametrize("rotate", [False, True])
async def test_killed_before_the_answer_was_sent(world: World, key: str, *, rotate: bool) -> None:
    """A proxy killed while the provider had not answered is still signed in after a start, rotation or not."""
    world.idp.settings.rotate = rotate
    await kill_in_refresh(world, key, Fault(hold=asyncio.Event()))
    assert await ask_after_start(world, key) == 200
    assert [request.outcome for request in world.idp.token_requests][-1] == "ok"
    assert world.mail.requests[-1].status == 200


async def test_killed_after_the_answer_without_rotation(world: World, key: str) -> None:
    """Without rotation the sign-in outlives also an answer that was sent and never stored."""
    world.idp.settings.rotate = False
    await kill_in_refresh(world, key, Fault(hold=asyncio.Event(), drop=True))
    assert await ask_after_start(world, key) == 200


async def test_killed_again_and_again(world: World, key: str) -> None:
    """Ten kills in a row, each in the middle of a refresh, lose nothing."""
    for _ in range(10):
        await kill_in_refresh(world, key, Fault(hold=asyncio.Event()))
    assert await ask_after_start(world, key) == 200

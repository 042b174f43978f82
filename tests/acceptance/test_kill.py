"""kill -9 in the middle of a refresh, then start again. Random moments, hundreds of times: tests/endurance."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import Fault

if TYPE_CHECKING:
    from tests.support.program import Program
    from tests.support.world import World


async def ask_session(origin: str, key: str) -> tuple[int, str]:
    """The status of a request for the Session, and what went wrong."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.get(f"{origin}/.well-known/jmap") as response,
    ):
        return response.status, json.loads(await response.read()).get("detail", "")


async def ask_after_start(world: World, key: str) -> tuple[int, str]:
    """What a proxy answers that has just started."""
    program, origin = await world.serve()
    answer = await ask_session(origin, key)
    await program.end(signal.SIGTERM)
    return answer


async def begin_refresh(world: World, key: str) -> tuple[Program, asyncio.Event, asyncio.Task[tuple[int, str]]]:
    """Let a proxy refresh because its token is refused: its process, what holds the answer, a client's request."""
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    world.idp.revoke_access_tokens()
    program, origin = await world.serve()
    request = asyncio.create_task(ask_session(origin, key))
    await fault.entered.wait()
    assert fault.hold is not None
    return program, fault.hold, request


async def kill_before_the_answer(world: World, key: str) -> None:
    """Kill a proxy while the provider has its request and has not acted on it."""
    program, answer, request = await begin_refresh(world, key)
    await program.end(signal.SIGKILL)
    answer.set()
    with pytest.raises(aiohttp.ClientError):
        await request


async def kill_after_the_answer(world: World, key: str) -> None:
    """Kill a proxy that stands still from its request on, when the provider has acted on that and answered."""
    program, answer, request = await begin_refresh(world, key)
    program.process.send_signal(signal.SIGSTOP)
    answer.set()
    async with asyncio.timeout(10):
        while world.idp.token_requests[-1].outcome != "ok":  # noqa: ASYNC110 - the record tells nobody
            await asyncio.sleep(0)
    await program.end(signal.SIGKILL)
    with pytest.raises(aiohttp.ClientError):
        await request


@pytest.mark.parametrize("rotate", [False, True])
async def test_killed_before_the_answer_was_sent(world: World, key: str, *, rotate: bool) -> None:
    """A proxy killed while the provider had not answered is still signed in after a start, rotation or not."""
    world.idp.settings.rotate = rotate
    await kill_before_the_answer(world, key)
    assert await ask_after_start(world, key) == (200, "")
    assert [request.outcome for request in world.idp.token_requests][-2:] == ["gone", "ok"]
    assert world.mail.requests[-1].status == 200


async def test_killed_after_the_answer_without_rotation(world: World, key: str) -> None:
    """Without rotation the sign-in outlives also an answer that was sent and never stored."""
    world.idp.settings.rotate = False
    await kill_after_the_answer(world, key)
    assert await ask_after_start(world, key) == (200, "")


async def test_killed_after_the_answer_with_a_grace(world: World, key: str) -> None:
    """A provider that answers again for a while is asked again, so that nothing is lost."""
    world.idp.settings.grace = 60
    world.write_config('replay = "grace"')
    await kill_after_the_answer(world, key)
    assert await ask_after_start(world, key) == (200, "")
    assert [request.outcome for request in world.idp.token_requests][-2:] == ["ok", "ok"]


async def test_killed_after_the_answer_at_a_strict_provider(world: World, key: str) -> None:
    """The sign-in cannot be kept; the reason says so, after each start."""
    await kill_after_the_answer(world, key)
    for _ in range(2):
        status, detail = await ask_after_start(world, key)
        assert status == 503
        assert "was lost" in detail
    assert "invalid_grant" in [request.outcome for request in world.idp.token_requests]


async def test_killed_again_and_again(world: World, key: str) -> None:
    """Ten kills in a row, each in the middle of a refresh, lose nothing."""
    for _ in range(10):
        await kill_before_the_answer(world, key)
    assert await ask_after_start(world, key) == (200, "")

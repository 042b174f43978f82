"""kill -9 in the middle of a refresh, then start again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import Fault, IdentityProvider, MailServer

if TYPE_CHECKING:
    from tests.acceptance.program import Program


async def ask_session(program: Program) -> int:
    """The status of a request for the Session."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {program.key}"}) as client,
        client.get(f"{program.http}/.well-known/jmap") as response,
    ):
        return response.status


async def kill_in_refresh(program: Program, provider: IdentityProvider, fault: Fault) -> None:
    """Let the proxy refresh because its token is refused, and kill it while the provider holds the answer."""
    provider.faults.add("token", fault)
    provider.revoke_access_tokens()
    async with program.serving() as process:
        request = asyncio.create_task(ask_session(program))
        await fault.entered.wait()
        process.kill()
        await process.wait()
        assert fault.hold is not None
        fault.hold.set()
        with pytest.raises(aiohttp.ClientError):
            await request


@pytest.mark.parametrize("rotate", [False, True])
async def test_killed_before_the_answer_was_sent(
    program: Program, provider: IdentityProvider, mail: MailServer, *, rotate: bool
) -> None:
    """A proxy killed while the provider had not answered is still signed in after a start, rotation or not."""
    provider.settings.rotate = rotate
    await kill_in_refresh(program, provider, Fault(hold=asyncio.Event()))
    async with program.serving():
        assert await ask_session(program) == 200
    assert [request.outcome for request in provider.token_requests][-1] == "ok"
    assert mail.requests[-1].status == 200


async def test_killed_after_the_answer_without_rotation(program: Program, provider: IdentityProvider) -> None:
    """Without rotation the sign-in outlives also an answer that was sent and never stored."""
    provider.settings.rotate = False
    await kill_in_refresh(program, provider, Fault(hold=asyncio.Event(), drop=True))
    async with program.serving():
        assert await ask_session(program) == 200


async def test_killed_again_and_again(program: Program, provider: IdentityProvider) -> None:
    """Ten kills in a row, each in the middle of a refresh, lose nothing."""
    for _ in range(10):
        await kill_in_refresh(program, provider, Fault(hold=asyncio.Event()))
    async with program.serving():
        assert await ask_session(program) == 200

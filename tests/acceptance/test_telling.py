"""A sign-in that is gone is told everywhere at once."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp

from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import World

TOLD = "os.environ['JMAP_PROXY_ACCOUNT'] + ': ' + os.environ['JMAP_PROXY_MEND']"
HOOK = f"import os, sys; open(sys.argv[1], 'a').write({TOLD} + '\\n')"
LINE = "alice: jmap-proxy login alice\n"


def with_hook(world: World) -> Path:
    """Configure a hook; where it writes to."""
    told = world.folder / "told"
    world.write_config("[hooks]", f"on_sign_in_needed = {json.dumps([sys.executable, '-c', HOOK, str(told)])}")
    return told


async def asked(origin: str, key: str) -> int:
    """The status of a request."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.get(f"{origin}/.well-known/jmap") as answer,
    ):
        return answer.status


async def served(world: World, key: str) -> int:
    """What a proxy answers that is started for one request; when it has ended, so has its hook."""
    program, origin = await world.serve()
    status = await asked(origin, key)
    assert (await program.end(signal.SIGTERM)).code == 0
    return status


async def test_a_lost_sign_in_is_told_everywhere(world: World, key: str) -> None:
    """By the answer, /readyz, /metrics, `status`, the log and the hook, which is run once."""
    told = with_hook(world)
    program, origin = await world.serve()
    world.idp.revoke_grants()
    admin = f"http://127.0.0.1:{world.admin_port}"
    async with aiohttp.ClientSession() as client:
        for _ in range(3):
            async with client.get(f"{origin}/.well-known/jmap", headers={"Authorization": f"Bearer {key}"}) as answer:
                problem = await answer.json(content_type=None)
                assert (answer.status, answer.headers.get("Retry-After")) == (503, None)
                assert (problem["type"], problem["hint"]) == (
                    "urn:jmap-proxy:error:sign-in-needed",
                    "run: jmap-proxy login alice",
                )
        async with client.get(f"{admin}/readyz") as ready:
            assert ready.status == 503
            assert (await ready.json())["accounts"]["alice"]["state"] == "needs_login"
        async with client.get(f"{admin}/metrics") as metrics:
            assert 'jmap_proxy_account_state{account="alice",state="needs_login"} 1.0' in await metrics.text()
    status = json.loads((await world.invoke("status", "--json")).out)
    assert status["accounts"]["alice"]["state"] == "needs_login"
    program.process.terminate()
    ended = await program.end()  # it waits for the hook
    assert ended.err.count("sign-in needed") == 1
    assert await asyncio.to_thread(told.read_text) == LINE


async def test_each_loss_is_told_once(world: World, key: str) -> None:
    """By one of two proxies on one store, and not again after a restart; the loss of a new sign-in is another one."""
    told, second = with_hook(world), world.folder / "second"
    second.mkdir()
    other = replace(world, folder=second, admin_port=free_port())
    other.config.write_text(world.config.read_text().replace(f":{world.admin_port}", f":{other.admin_port}"))
    first_program, first_origin = await world.serve()
    second_program = await other.start("serve", JMAP_PROXY_STATE=str(world.state))
    second_origin = (await second_program.line()).removeprefix("listening on ")
    world.idp.revoke_grants()
    assert set(await asyncio.gather(asked(first_origin, key), asked(second_origin, key))) == {503}
    for program in (first_program, second_program):
        assert (await program.end(signal.SIGTERM)).code == 0
    assert await asyncio.to_thread(told.read_text) == LINE
    assert await served(world, key) == 503
    assert await asyncio.to_thread(told.read_text) == LINE
    await world.sign_in()
    assert await served(world, key) == 200
    world.idp.revoke_grants()
    assert await served(world, key) == 503
    assert await asyncio.to_thread(told.read_text) == LINE * 2


async def test_a_loss_that_token_has_found_is_told_by_the_proxy(world: World) -> None:
    """The command runs no hook, and does not keep the proxy from it, which knows at its start and needs no request."""
    await world.sign_in()
    told = with_hook(world)
    world.idp.revoke_grants()
    await world.age(86400)
    assert (await world.invoke("token", "alice")).code != 0
    assert not await asyncio.to_thread(told.exists)
    status = json.loads((await world.invoke("status", "--json")).out)
    assert (status["running"], status["accounts"]["alice"]["state"]) == (False, "needs_login")
    asked_before = len(world.idp.token_requests)
    program, _ = await world.serve()
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{world.admin_port}/readyz") as ready,
    ):
        assert (await ready.json())["accounts"]["alice"]["state"] == "needs_login"
    assert (await program.end(signal.SIGTERM)).err.count("sign-in needed") == 1
    assert await asyncio.to_thread(told.read_text) == LINE
    assert len(world.idp.token_requests) == asked_before

"""A sign-in that is gone is told everywhere at once."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from tests.support.world import World

TOLD = "os.environ['JMAP_PROXY_ACCOUNT'] + ': ' + os.environ['JMAP_PROXY_MEND']"
HOOK = f"import os, sys; open(sys.argv[1], 'a').write({TOLD})"


async def test_a_lost_sign_in_is_told_everywhere(world: World, key: str) -> None:
    """By the answer, /readyz, /metrics, `status`, the log and the hook, which is run once."""
    told = world.folder / "told"
    world.write_config("[hooks]", f"on_sign_in_needed = {json.dumps([sys.executable, '-c', HOOK, str(told)])}")
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
    assert await asyncio.to_thread(told.read_text) == "alice: jmap-proxy login alice"

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.world import basic

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import ClientSession

    from tests.support.program import Program
    from tests.support.world import World

KEYS = {"session_url", "username", "password", "admin_url", "issuer", "upstream_session_url"}


async def demo(world: World, *args: str, **env: str) -> tuple[Program, Path]:
    """A demo and the folder in which it makes its own."""
    folder = world.folder / "tmp"
    folder.mkdir()
    return await world.start("demo", *args, TMPDIR=str(folder), JMAP_PROXY_CONFIG="/nonexistent", **env), folder


async def test_one_line_tells_all_that_a_client_needs(world: World, client: ClientSession) -> None:
    """The keys of the contract; a client gets the Session; Ctrl-C ends with 0 and leaves nothing behind."""
    program, folder = await demo(world, "--json", "--token-life", "30")
    told: dict[str, Any] = json.loads(await program.line())
    assert told.keys() == KEYS
    login = basic(told["password"])
    async with client.get(told["session_url"], headers=login) as response:
        session = await response.json()
    assert session["username"] == told["username"]
    request = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": 1}, "c"]]}
    async with client.post(session["apiUrl"], json=request, headers=login) as response:
        assert (await response.json())["methodResponses"] == [["Core/echo", {"a": 1}, "c"]]
    async with client.get(f"{told['admin_url']}/readyz") as response:
        assert response.status == 200
    async with client.get(told["upstream_session_url"], headers=login) as response:
        assert response.status == 401
    assert len(list(folder.iterdir())) == 1
    ended = await program.end(signal.SIGINT)
    assert (ended.code, ended.err) == (0, "")
    assert list(folder.iterdir()) == []
    assert not world.state.exists()


@pytest.mark.parametrize("path", ["/nonexistent", None])
async def test_the_line_to_paste_lists_mail(world: World, path: str | None) -> None:
    """It runs as it stands in a shell, with curl or without; SIGTERM ends the demo with 0."""
    program, folder = await demo(world, **({"PATH": path} if path else {}))
    while (await program.line()) != "Or paste this to list mail:":
        pass
    await program.line()
    paste = await program.line()
    shell = await asyncio.create_subprocess_exec("/bin/sh", "-c", paste, stdout=asyncio.subprocess.PIPE)
    answer = json.loads((await shell.communicate())[0])
    assert answer["methodResponses"][1][0] == "Email/get"
    assert len(answer["methodResponses"][1][1]["list"]) == 5
    ended = await program.end(signal.SIGTERM)
    assert (ended.code, ended.err) == (0, "")
    assert list(folder.iterdir()) == []


async def test_a_life_of_no_time_is_a_wrong_use(world: World) -> None:
    """A token must live a second at least."""
    assert (await world.invoke("demo", "--token-life", "0", config=False)).code == 2

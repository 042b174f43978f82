"""The log of `serve`: each line about a request bears the id that its client was told, whatever writes it."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox import Fault
from tests.support.world import basic

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from tests.support.program import Program
    from tests.support.world import World


async def instance_of(client: ClientSession, url: str, **headers: str) -> str:
    """The id that the client of a request is told with its error."""
    async with client.get(url, headers=headers) as response:
        problem = await response.json(content_type=None)
        assert response.status == problem["status"]
        return str(problem["instance"]).rpartition(":")[2]


async def objects(program: Program) -> list[dict[str, Any]]:
    """All lines of a program that has been told to end."""
    return [json.loads(line) for line in (await program.end(signal.SIGTERM)).err.splitlines()]


async def test_a_request_is_found_in_all_areas(world: World, client: ClientSession) -> None:
    """What the tokens' area says of the refresh that it needed, too; each request has an id of its own."""
    key = (await world.sign_in()).local_key
    await world.age(7200)
    world.idp.faults.add("token", Fault(status=503, count=-1))
    program, origin = await world.serve("--log-format", "json", "--log-level", "debug")
    failed = await instance_of(client, f"{origin}/.well-known/jmap", **basic(key))
    refused = await instance_of(client, f"{origin}/.well-known/jmap", Origin="https://evil.example")
    admin = await instance_of(client, f"http://127.0.0.1:{world.admin_port}/nothing")
    lines = await objects(program)
    told = {
        instance: {(line["logger"], line["event"]) for line in lines if line.get("request_id") == instance}
        for instance in (failed, refused, admin)
    }
    assert {
        ("jmap_proxy.tokens", "refresh failed, will retry"),
        ("jmap_proxy.proxy", "request failed"),
        ("jmap_proxy.proxy", "answered"),
    } <= told[failed]
    assert told[refused] == {("jmap_proxy.proxy", "refused"), ("jmap_proxy.proxy", "answered")}
    assert told[admin] == {("jmap_proxy.status", "refused")}
    assert len({failed, refused, admin}) == 3
    assert all(line["timestamp"].endswith("Z") and line["level"] for line in lines)


@pytest.mark.parametrize(
    ("levels", "areas"),
    [
        ("error,proxy=debug", {"jmap_proxy.proxy"}),
        ("error,status=info", {"jmap_proxy.status"}),
        ("error", set()),
    ],
)
async def test_each_area_has_its_level(world: World, client: ClientSession, levels: str, areas: set[str]) -> None:
    """What is not asked for is not written."""
    program, origin = await world.serve("--log-format", "json", "--log-level", levels)
    await instance_of(client, f"{origin}/.well-known/jmap")
    await instance_of(client, f"http://127.0.0.1:{world.admin_port}/nothing")
    assert {line["logger"] for line in await objects(program) if "request_id" in line} == areas


async def test_people_find_it_too(world: World, client: ClientSession) -> None:
    """In the lines of the console."""
    program, origin = await world.serve("--log-format", "console")
    instance = await instance_of(client, f"{origin}/.well-known/jmap")
    lines = (await program.end(signal.SIGTERM)).err.splitlines()
    (line,) = [line for line in lines if re.search(rf"request_id={instance}\b", line)]
    assert "refused" in line
    assert "code=key-refused" in line


async def test_a_sign_in_from_the_page_is_found_by_its_request(world: World, client: ClientSession) -> None:
    """Although it ends long after the request: and no line holds the form's token or the sign-in's state."""
    await world.sign_in()
    world.idp.faults.add("metadata", Fault(status=503, count=-1))
    program, _ = await world.serve("--log-format", "json", "--log-level", "debug")
    admin = f"http://127.0.0.1:{world.admin_port}"
    async with client.get(admin) as response:
        csrf = re.search(r'name="csrf" value="([^"]+)"', await response.text())
    assert csrf is not None
    form = {"account": "alice", "csrf": csrf[1]}
    async with client.post(f"{admin}/sign-in", data=form) as response:
        assert "did not succeed" in await response.text()
    ended = await program.end(signal.SIGTERM)
    (line,) = [json.loads(line) for line in ended.err.splitlines() if "sign-in from the page failed" in line]
    assert re.fullmatch(r"[0-9a-f]{10}", line["request_id"])
    assert line["account"] == "alice"
    assert csrf[1] not in ended.err + ended.out

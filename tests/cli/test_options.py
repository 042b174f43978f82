from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from aiohttp import ClientSession

from jmap_proxy.cli.options import is_there, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import World


async def test_the_environment_names_the_configuration(world: World) -> None:
    """JMAP_PROXY_CONFIG where --config does not."""
    with mock.patch.dict(os.environ, {"JMAP_PROXY_CONFIG": str(world.config)}):
        ended = await world.invoke("status", config=False)
    assert ended.code == 0
    assert "alice" in ended.out


async def test_a_log_level_is_one_of_four(world: World) -> None:
    """Another one is a wrong use."""
    assert (await world.invoke("status", "--log-level", "debug")).code == 0
    ended = await world.invoke("status", "--log-level", "loud")
    assert ended.code == 2
    assert "'debug', 'info', 'warning', 'error'" in ended.err


async def test_a_log_level_may_be_an_areas(world: World) -> None:
    """And an area that there is not is a wrong use, which says which there are."""
    assert (await world.invoke("status", "--log-level", "tokens=debug")).code == 0
    ended = await world.invoke("status", "--log-level", "tokns=debug")
    assert ended.code == 2
    assert "there is no area 'tokns'; there is cli, hook, " in ended.err


async def test_log_lines_may_be_objects(world: World) -> None:
    """With --log-format json; those of a request are found by what its client was told."""
    program, origin = await world.serve("--log-format", "json", "--log-level", "warning,proxy=debug")
    instances = []
    async with ClientSession() as client:
        for _ in range(2):
            async with client.get(f"{origin}/.well-known/jmap", headers={"Authorization": "Bearer no"}) as response:
                instances.append((await response.json(content_type=None))["instance"])
    lines = [json.loads(line) for line in (await program.end(signal.SIGTERM)).err.splitlines()]
    for instance in instances:
        told = [line for line in lines if line.get("request_id") == instance.rpartition(":")[2]]
        assert [(line["event"], line["level"]) for line in told] == [("refused", "info"), ("answered", "debug")]
        assert {line["logger"] for line in told} == {"jmap_proxy.proxy"}
    assert (await world.invoke("status", "--log-format", "xml")).code == 2


async def _loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_runs_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvloop is an extra."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(_loop_name()).startswith("asyncio")


def test_it_runs_on_uvloop_where_there_is_one() -> None:
    """With the extra installed it is used."""
    assert run(_loop_name()).startswith("uvloop")


def test_names_that_nobody_resolves_do_not_keep_files_waiting() -> None:
    """A resolver that hangs holds a thread for each name; what others do in threads goes on meanwhile."""
    found, lookups = threading.Event(), 40

    async def main() -> str:
        hanging = [asyncio.create_task(asyncio.to_thread(found.wait)) for _ in range(lookups)]
        try:
            return await asyncio.wait_for(asyncio.to_thread(lambda: "read"), 30)
        finally:
            found.set()
            await asyncio.wait(hanging)

    assert run(main()) == "read"


@pytest.mark.parametrize("command", [("login", "alice"), ("doctor",), ("status",)])
async def test_a_configuration_that_cannot_be_seen_is_told(world: World, command: tuple[str, ...]) -> None:
    """Such as one in a folder of somebody else's: no traceback, and it does not count as missing."""
    path = world.folder / ("x" * 300)
    ended = await world.invoke(*command, "--config", str(path), config=False)
    assert ended.code == (1 if command == ("doctor",) else 78)
    assert "cannot be read: File name too long" in " ".join((ended.out + ended.err).split())


def test_a_file_is_there_or_not(tmp_path: Path) -> None:
    """Below a plain file nothing is."""
    file = tmp_path / "file"
    assert not is_there(file)
    file.touch()
    assert is_there(file)
    assert not is_there(file / "below")

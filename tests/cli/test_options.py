from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING
from unittest import mock

from jmap_proxy.cli.options import run

if TYPE_CHECKING:
    import pytest

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


async def _loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_runs_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvloop is an extra."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(_loop_name()).startswith("asyncio")


def test_it_runs_on_uvloop_where_there_is_one() -> None:
    """With the extra installed it is used."""
    assert run(_loop_name()).startswith("uvloop")

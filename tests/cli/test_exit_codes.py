from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli import commands
from jmap_proxy.cli.exit_codes import EXIT_CODES, told
from jmap_proxy.errors import JmapProxyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.world import World


def tree(error: type[JmapProxyError]) -> Iterator[type[JmapProxyError]]:
    """The error and all below it."""
    yield error
    for each in error.__subclasses__():
        yield from tree(each)


def test_every_error_has_an_exit_code_that_is_explained() -> None:
    """The whole tree, and those of a wrong use and an interrupt."""
    assert {error.exit_code for error in tree(JmapProxyError)} | {0, 2, 3, 130} == set(EXIT_CODES)


async def test_help_explains_them_line_by_line(world: World) -> None:
    """They stay in their lines, and each command says where they are."""
    text = (await world.invoke("--help", config=False)).out
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ +{code} +{re.escape(meaning)}$", text, re.MULTILINE)
    assert told().count("\n") == len(EXIT_CODES) + 1


@pytest.mark.parametrize("name", commands.commands)
async def test_every_help_reads_well(world: World, name: str) -> None:
    """It fits 80 columns, and ends with where the codes are; no summary is cut off."""
    ended = await world.invoke(name, "--help", config=False)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "Exit codes: jmap-proxy --help" in lines[-1]
    assert "..." not in re.sub(r"ARGS\]\.\.\.", "", ended.out)


async def test_no_summary_is_cut_off(world: World) -> None:
    """Of any command."""
    text = (await world.invoke("--help", config=False)).out
    assert "..." not in text.replace("[ARGS]...", "")
    assert all(len(line) <= 80 for line in text.splitlines())

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.world import World

BASH = shutil.which("bash")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_gets_its_script(world: World, shell: str) -> None:
    """It asks this program by the variable that the program answers to; no configuration is needed."""
    world.config.unlink()
    ended = await world.invoke("completion", shell, config=False)
    assert (ended.code, ended.err) == (0, "")
    assert f"_JMAP_PROXY_COMPLETE={shell}_complete" in ended.out
    assert "jmap-proxy" in ended.out


@pytest.mark.parametrize("args", [(), ("tcsh",)])
async def test_an_unknown_shell_is_told(world: World, args: tuple[str, ...]) -> None:
    """With those that there are."""
    ended = await world.invoke("completion", *args, config=False)
    assert (ended.code, ended.out) == (2, "")
    assert "bash" in ended.err


@pytest.mark.skipif(BASH is None, reason="needs bash")
async def test_bash_completes_an_account(world: World) -> None:
    """The printed script, in a real bash, with this program on the PATH."""
    (world.folder / "jmap-proxy").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jmap_proxy "$@"\n')
    (world.folder / "jmap-proxy").chmod(0o755)
    script = (await world.invoke("completion", "bash", config=False)).out
    typed = "\nCOMP_WORDS=(jmap-proxy token al)\nCOMP_CWORD=2\n_jmap_proxy_completion jmap-proxy\n"
    ask = typed + "printf '%s\\n' \"${COMPREPLY[@]}\""
    shell = await asyncio.create_subprocess_exec(
        str(BASH),
        "-c",
        script + ask,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**world.env, "JMAP_PROXY_CONFIG": str(world.config), "PATH": f"{world.folder}:/usr/bin:/bin"},
    )
    out, _ = await shell.communicate()
    assert out.decode() == "alice\n"

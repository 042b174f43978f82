"""The settings that `jmap-proxy clients` prints, given to the real clients as they are printed."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.layout import INSTALLED, installed
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import World


PYTHON = {
    "jmapc": "print(client.jmap_session.username)",
    "jmaplib": "print(client.session.username)",
}
USERNAME = "demo"
JAM = "console.log((await jam.session).username);"


async def printed(world: World, name: str) -> str:
    """What stdout gets, with a key in the file that the settings read it from."""
    ended = await world.invoke("clients", "alice", name)
    assert ended.code == 0, ended.err
    return ended.out


async def serve(world: World, *, http: bool) -> None:
    """A running proxy with a key file and a certificate of its own authority."""
    plain = f"127.0.0.1:{free_port()}" if http else ""
    lines = f'http = "{plain}"\nhttps = "127.0.0.1:{free_port()}"'
    world.config.write_text(world.config.read_text().replace('http = "127.0.0.1:0"', lines))
    await world.sign_in()
    for command in (("cert",), ("key", "alice", "--to", str(world.folder / "alice.key"))):
        assert (await world.invoke(*command)).code == 0
    program = await world.start("serve")
    while not (await program.line()).startswith("admin on "):
        pass


async def run(folder: Path, *argv: str, **env: str) -> str:
    """What a client says."""
    program = await asyncio.create_subprocess_exec(
        *argv, cwd=folder, env={"PATH": "/usr/bin:/bin", **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await program.communicate()
    assert program.returncode == 0, err.decode()
    return out.decode().strip()


@pytest.mark.parametrize("http", [True, False], ids=["http", "https"])
@pytest.mark.parametrize("name", PYTHON)
async def test_a_python_client_takes_them(world: World, name: str, *, http: bool) -> None:
    """The program as printed, and a line that fetches the Session."""
    await serve(world, http=http)
    (world.folder / "client.py").write_text(f"{await printed(world, name)}{PYTHON[name]}\n")
    python = installed(f"{name}/bin/python")
    assert await run(world.folder, str(python), "-B", "client.py") == USERNAME


@pytest.mark.parametrize("http", [True, False], ids=["http", "https"])
async def test_jmap_jam_takes_them(world: World, *, http: bool) -> None:
    """The module as printed; by https with the variable that its first line tells."""
    await serve(world, http=http)
    text = await printed(world, "jmap-jam")
    (world.folder / "client.mjs").write_text(text + JAM)
    (world.folder / "node_modules").symlink_to(installed("jam/node_modules"))
    env = dict([text.partition(" node")[0].removeprefix("// ").split("=")]) if not http else {}
    assert await run(world.folder, "node", "client.mjs", **env) == USERNAME


async def test_fastmail_cli_takes_them(world: World) -> None:
    """The lines as printed, in a shell, and the command behind them."""
    program = INSTALLED / "fastmail-cli" / "bin" / "fastmail-cli"
    if not program.exists():
        pytest.skip("needs Python 3.13, which install.sh has not found")
    await serve(world, http=False)
    lines = await printed(world, "fastmail-cli")
    out = await run(world.folder, "sh", "-euc", f"{lines}{shlex.quote(str(program))} session.get")
    assert USERNAME in out

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.program import Program

if TYPE_CHECKING:
    from tests.support.world import World


async def complete(world: World, *words: str, env: dict[str, str] | None = None) -> list[str]:
    """What the shell is told for the last word, as bash asks it; a process of its own, and nothing on stderr."""
    asked = {"_JMAP_PROXY_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(("jmap-proxy", *words))}
    asked["COMP_CWORD"] = str(len(words))
    program = await Program.start(env={**world.env, "JMAP_PROXY_CONFIG": str(world.config), **asked, **(env or {})})
    ended = await program.end()
    assert (ended.code, ended.err) == (0, "")
    return [line.partition(",")[2] for line in ended.out.splitlines() if line]


def add_accounts(world: World) -> None:
    """Two more accounts, so that beginnings tell something."""
    section = world.config.read_text().partition("[accounts.alice]")[2]
    more = "".join(f"\n[accounts.{name}]{section}" for name in ("albert", "bob"))
    world.config.write_text(world.config.read_text() + more)


@pytest.mark.parametrize("command", ["login", "token", "key", "logout", "doctor", "clients"])
async def test_accounts_are_completed(world: World, command: str) -> None:
    """Of the configuration that the environment names, by every command that takes one."""
    add_accounts(world)
    assert await complete(world, command, "al") == ["alice", "albert"]


async def test_the_named_configuration_counts(world: World) -> None:
    """Also with a command that reads it itself."""
    other = world.folder / "other.toml"
    other.write_text(world.config.read_text().replace("alice", "carol"))
    for command in ("token", "clients"):
        assert await complete(world, command, "--config", str(other), "") == ["carol"]


@pytest.mark.parametrize("command", ["token", "clients"])
async def test_a_broken_configuration_completes_nothing(world: World, command: str) -> None:
    """And prints nothing; one that is named and broken is not replaced by the usual one."""
    broken = world.folder / "broken.toml"
    broken.write_text("[nonsense]")
    assert await complete(world, command, "", env={"JMAP_PROXY_CONFIG": str(broken)}) == []
    assert await complete(world, command, "", env={"JMAP_PROXY_CONFIG": str(world.folder / "none")}) == []
    assert await complete(world, command, "--config", str(broken), "") == []


async def test_clients_commands_and_options_are_completed(world: World) -> None:
    """By click's own means."""
    assert await complete(world, "clients", "alice", "jma") == ["jmap-jam", "jmapc", "jmaplib"]
    assert await complete(world, "se") == ["serve", "service"]
    assert await complete(world, "service", "in") == ["install"]
    assert await complete(world, "status", "--j") == ["--json"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
async def test_other_shells_ask_in_their_way(world: World) -> None:
    """Zsh and fish get the names, too."""
    words = {"COMP_WORDS": "jmap-proxy token al", "COMP_CWORD": "2"}
    for shell in ("zsh", "fish"):
        env = {
            **world.env,
            **words,
            "_JMAP_PROXY_COMPLETE": f"{shell}_complete",
            "JMAP_PROXY_CONFIG": str(world.config),
        }
        if shell == "fish":
            env["COMP_CWORD"] = "al"
        ended = await (await Program.start(env=env)).end()
        assert (ended.code, ended.err) == (0, "")
        assert "alice" in ended.out

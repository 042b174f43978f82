from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from jmap_proxy import __version__
from jmap_proxy.sandbox import Fault

if TYPE_CHECKING:
    from tests.support.world import World

COMMANDS = ("demo", "login", "serve", "status", "token", "key", "logout", "clients", "service", "completion")


async def test_help_names_every_command(world: World) -> None:
    """`--help` and `--version` answer without a configuration."""
    ended = await world.invoke("--help", config=False)
    assert ended.code == 0
    assert all(command in ended.out for command in COMMANDS)
    assert __version__ in (await world.invoke("--version", config=False)).out


@pytest.mark.parametrize("args", [("nonsense",), ("token",), ("status", "--nonsense")])
async def test_a_wrong_use_is_told(world: World, args: tuple[str, ...]) -> None:
    """Exit code 2 and the usage, no traceback."""
    ended = await world.invoke(*args, config=args[0] != "nonsense")
    assert (ended.code, ended.out) == (2, "")
    assert "Usage:" in ended.err


@pytest.mark.parametrize(("typed", "meant"), [("stauts", "status"), ("logn", "login"), ("servce", "service")])
async def test_a_mistyped_command_is_answered_with_the_near_one(world: World, typed: str, meant: str) -> None:
    """Exit code 2, and what may have been meant."""
    ended = await world.invoke(typed, config=False)
    assert (ended.code, ended.out) == (2, "")
    assert f"'{meant}'" in ended.err


@pytest.mark.parametrize("command", ["login", "token", "key", "logout"])
async def test_an_unknown_account_is_a_configuration_error(world: World, command: str) -> None:
    """Exit code 78, the accounts that there are, and what to add."""
    ended = await world.invoke(command, "bob")
    assert (ended.code, ended.out) == (78, "")
    assert ended.err.startswith("error: there is no account 'bob'")
    assert "hint: add a section [accounts.bob]" in ended.err


@pytest.mark.parametrize(
    "text", ["[listen", "[nonsense]", "[accounts.alice]\nserver = 5", "\x00", "[listen]\nhttp = ''"]
)
async def test_a_broken_configuration_names_the_file(world: World, text: str) -> None:
    """Exit code 78, the file and a hint."""
    world.config.write_text(text)
    ended = await world.invoke("status")
    assert ended.code == 78
    assert str(world.config) in ended.err
    assert "Traceback" not in ended.err


async def test_errors_of_a_process_are_two_lines(world: World) -> None:
    """A missing configuration: a line, a hint, an exit code, and never a traceback."""
    world.config.unlink()
    ended = await (await world.start("status")).end()
    assert (ended.code, ended.out) == (78, "")
    error, hint = ended.err.splitlines()
    assert error.startswith(f"error: there is no configuration file {world.config}")
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("command", "code"),
    [(("login", "alice", "--no-browser"), 69), (("token", "alice"), 75)],
)
async def test_a_provider_that_is_down_has_an_exit_code(world: World, command: tuple[str, ...], code: int) -> None:
    """`login` cannot begin; `token` may be tried again."""
    await world.sign_in()
    await world.age(7200)
    world.idp.faults.add("metadata", Fault(status=503, count=-1))
    ended = await world.invoke(*command)
    assert (ended.code, ended.out) == (code, "")
    assert "503" in ended.err
    assert "\nhint: " in ended.err
    assert "Traceback" not in ended.err


async def test_ctrl_c_ends_a_sign_in(world: World) -> None:
    """Exit code 130, nothing saved, no traceback."""
    program = await world.start("login", "alice", "--no-browser")
    assert (await program.line()).startswith(world.idp.issuer)
    ended = await program.end(signal.SIGINT)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert not world.token_file.exists()

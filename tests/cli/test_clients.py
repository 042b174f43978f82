from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.clients import clients
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import World

CURL = shutil.which("curl")


def listening(world: World, *lines: str) -> int:
    """Write a configuration whose http port is fixed, with these lines in [listen]; the port."""
    port = free_port()
    text = world.config.read_text()
    world.config.write_text(text.replace('"127.0.0.1:0"', "\n".join([f'"127.0.0.1:{port}"', *lines])))
    return port


async def shell(world: World, script: str) -> tuple[int, str]:
    """What a shell makes of a script."""
    program = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=world.folder
    )
    out, _ = await program.communicate()
    assert program.returncode is not None
    return program.returncode, out.decode()


async def keep_key(world: World) -> Path:
    """Make alice's key file where `clients` says that it belongs."""
    await world.sign_in()
    file = world.folder / "alice.key"
    assert (await world.invoke("key", "alice", "--to", str(file))).code == 0
    return file


@pytest.mark.skipif(CURL is None, reason="needs curl")
async def test_the_line_for_curl_works(world: World) -> None:
    """As printed, against the running proxy: it fetches the Session."""
    port = listening(world)
    await keep_key(world)
    printed = await world.invoke("clients", "alice", "curl")
    assert printed.code == 0
    await world.serve()
    code, out = await shell(world, printed.out)
    assert code == 0, out
    assert json.loads(out)["apiUrl"].startswith(f"http://127.0.0.1:{port}/")


@pytest.mark.skipif(CURL is None, reason="needs curl")
async def test_the_line_for_curl_works_by_the_unix_socket_and_by_https(world: World) -> None:
    """By the socket without a key; by https with the authority of `cert`."""
    await keep_key(world)
    assert (await world.invoke("cert")).code == 0
    listening(world, 'unix = "p"')
    text = world.config.read_text()
    plain = next(line for line in text.splitlines() if line.startswith("http = "))
    world.config.write_text(text.replace(plain, 'http = ""'))
    by_socket = await world.invoke("clients", "alice", "curl")
    assert "--unix-socket" in by_socket.out
    https = f'https = "127.0.0.1:{free_port()}"'
    world.config.write_text(text.replace(plain, f'http = ""\n{https}').replace('unix = "p"', ""))
    by_https = await world.invoke("clients", "alice", "curl")
    assert "--cacert" in by_https.out
    world.config.write_text(text.replace(plain, f'http = ""\n{https}'))
    await world.start("serve")
    await world.programs[-1].line()
    await world.programs[-1].line()
    for printed in (by_socket, by_https):
        code, out = await shell(world, printed.out)
        assert code == 0, out
        assert "apiUrl" in out


async def test_only_settings_are_on_stdout(world: World) -> None:
    """What is to be said of them is on stderr, the command that makes the key file included."""
    port = listening(world)
    await world.sign_in()
    ended = await world.invoke("clients", "alice", "mujmap", "--user", "alice@example.com")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        'username = "alice@example.com"',
        f'password_command = "cat {world.folder / "alice.key"}"',
        f'session_url = "http://127.0.0.1:{port}/.well-known/jmap"',
    ]
    assert all(line.startswith("note: ") for line in ended.err.splitlines())
    assert f"jmap-proxy key alice --to {world.folder / 'alice.key'}" in ended.err
    assert "no local key yet" not in ended.err


async def test_what_is_to_be_run_is_for_the_same_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named where it is not the usual one."""
    listening(world)
    ended = await world.invoke("clients", "alice", "curl")
    assert f"run: jmap-proxy key alice --to {world.folder}/alice.key --config {world.config}\n" in ended.err
    monkeypatch.setenv("JMAP_PROXY_CONFIG", str(world.config))
    ended = await world.invoke("clients", "alice", "curl", config=False)
    assert f"run: jmap-proxy key alice --to {world.folder}/alice.key\n" in ended.err


async def test_the_key_can_be_kept_elsewhere(world: World) -> None:
    """The command is the user's; no file is spoken of."""
    listening(world)
    ended = await world.invoke("clients", "alice", "himalaya", "--key-command", "pass show mail")
    assert 'password.command = "pass show mail"' in ended.out
    assert ".key" not in ended.err
    assert "run: jmap-proxy login alice" in ended.err


async def test_the_key_is_never_printed(world: World) -> None:
    """Nor is a token, in any client's settings."""
    listening(world, f'https = "127.0.0.1:{free_port()}"')
    key = (await keep_key(world)).read_text().strip()
    tokens = await world.stored()
    for name in clients():
        ended = await world.invoke("clients", "alice", name)
        assert ended.code == 0
        assert not any(secret in ended.out + ended.err for secret in (key, tokens.access_token, tokens.refresh_token))
        assert "key alice --to" not in ended.err


async def test_what_a_client_lacks_is_told_first(world: World) -> None:
    """For aerc without https: exit code 78, the mend, and no settings; without a certificate, a note."""
    listening(world)
    ended = await world.invoke("clients", "alice", "aerc")
    assert (ended.code, ended.out) == (78, "")
    assert "aerc speaks https only" in ended.err
    assert "hint: run: jmap-proxy cert" in ended.err
    listening(world)
    text = world.config.read_text()
    world.config.write_text(text.replace("[listen]", f'[listen]\nhttps = "127.0.0.1:{free_port()}"'))
    ended = await world.invoke("clients", "alice", "aerc")
    assert ended.code == 0
    assert "there is no certificate yet; run: jmap-proxy cert" in ended.err
    assert (await world.invoke("cert")).code == 0
    assert "no certificate" not in (await world.invoke("clients", "alice", "aerc")).err


async def test_an_open_account_needs_no_key(world: World) -> None:
    """None is spoken of."""
    world.write_config('local_auth = "none"')
    listening(world)
    ended = await world.invoke("clients", "alice", "mujmap")
    assert 'password_command = "echo none"' in ended.out
    assert "no local key is needed there" in ended.err
    assert "jmap-proxy key" not in ended.err


async def test_the_lists_fit_80_columns(world: World) -> None:
    """All clients and all accounts; and where each client comes in, with what is missing, for one account."""
    port = listening(world, f'unix = "{world.folder}/{"long/" * 14}p.sock"')
    name = "a-very-long-name-of-an-account-" * 3
    world.config.write_text(world.config.read_text().replace("accounts.alice", f"accounts.{name}"))
    for args in ((), (name,)):
        ended = await world.invoke("clients", *args)
        assert (ended.code, ended.err) == (0, "")
        assert all(len(line) <= 80 for line in ended.out.splitlines() if not line.startswith("hint: "))
        assert all(client in ended.out for client in clients())
        assert f"http://127.0.0.1:{port}" in ended.out
        assert ("hint: run: jmap-proxy cert" in ended.out) is bool(args)


async def test_json_tells_the_same(world: World) -> None:
    """The lists, and one client's settings."""
    port = listening(world)
    everything: dict[str, Any] = json.loads((await world.invoke("clients", "--json")).out)
    assert set(everything["clients"]) == set(clients())
    assert everything["accounts"] == {"alice": [f"http://127.0.0.1:{port}"]}
    told = json.loads((await world.invoke("clients", "alice", "--json")).out)
    assert told["curl"]["address"] == f"http://127.0.0.1:{port}"
    assert told["aerc"]["missing"]
    assert "jmap-proxy cert" in told["aerc"]["mend"]
    one = json.loads((await world.invoke("clients", "alice", "meli", "--json")).out)
    assert (one["client"], one["account"], one["format"]) == ("meli", "alice", "toml")
    assert one["settings"] == (await world.invoke("clients", "alice", "meli")).out
    assert one["notes"]


async def test_an_account_without_a_way_in(world: World) -> None:
    """A port that the kernel chooses is told as none."""
    ended = await world.invoke("clients")
    assert ended.out.splitlines()[-3].split() == ["alice", "-"]
    ended = await world.invoke("clients", "alice", "curl")
    assert ended.code == 78
    assert "no fixed port" in ended.err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [(("bob",), 78, "there is: alice"), (("bob", "aerc"), 78, "there is: alice"), (("alice", "mutt"), 2, "aerc")],
)
async def test_an_unknown_name_is_told_what_there_is(world: World, args: tuple[str, ...], code: int, said: str) -> None:
    """Accounts and clients alike."""
    ended = await world.invoke("clients", *args)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err


async def test_nothing_is_made_by_looking(world: World) -> None:
    """No data key, no state folder."""
    listening(world)
    await world.invoke("clients", "alice", "curl")
    await world.invoke("clients")
    assert not world.state.exists()
    assert "alice.key" not in [each.name for each in world.folder.iterdir()]

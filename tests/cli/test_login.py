from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox import browse

if TYPE_CHECKING:
    from tests.support.world import World

ROBOT = """import asyncio, sys
from jmap_proxy.sandbox import browse
asyncio.run(browse(sys.argv[1]))
"""


def local_key(out: str) -> list[str]:
    """What the lines `Local key: …` tell."""
    return [line.removeprefix("Local key: ") for line in out.splitlines() if line.startswith("Local key: ")]


async def test_without_a_browser_the_url_stands_alone(world: World) -> None:
    """The first line of stdout is the URL and nothing else; after the sign-in come the key and what to type."""
    program = await world.start("login", "alice", "--no-browser")
    url = await program.line()
    assert url.startswith(f"{world.idp.issuer}/authorize?")
    assert " " not in url
    assert (await browse(url))[0] == 200
    ended = await program.end()
    assert ended.code == 0
    (key,) = local_key(ended.out)
    assert world.assembly().local_keys.account_of(key) == "alice"
    assert "/.well-known/jmap\n" in ended.out
    assert "User name: demo" in ended.out
    assert ended.err.startswith("Open this in a browser on this machine:\n")


async def test_a_browser_is_opened(world: World) -> None:
    """Also one that blocks until it ends, as those of a terminal do; a second sign-in keeps the key."""
    first = await world.sign_in()
    robot = world.folder / "robot.py"
    robot.write_text(ROBOT)
    program = await world.start("login", "alice", BROWSER=f"{sys.executable} {robot} %s")
    ended = await program.end()
    assert ended.code == 0
    assert local_key(ended.out) == []
    assert "The local key stays as it is" in ended.out
    assert f"{world.idp.issuer}/authorize?" in ended.err
    assert world.assembly().local_keys.account_of(first.local_key) == "alice"


async def test_both_session_urls_are_told(world: World) -> None:
    """What is configured to listen is what a client is pointed at; an IPv6 address stands in brackets."""
    text = world.config.read_text().replace('http = "127.0.0.1:0"', 'http = ""\nhttps = "[::1]:8621"')
    world.config.write_text(text.replace("[listen]", '[listen]\ncert_file = "c"\nkey_file = "k"'))
    program = await world.start("login", "alice", "--no-browser")
    await browse(await program.line())
    ended = await program.end()
    assert "Session URL: https://[::1]:8621/.well-known/jmap\n" in ended.out
    assert "http://" not in ended.out.partition("\n")[2]


async def test_where_settings_for_clients_are_is_told(world: World) -> None:
    """With the user name that the server told; what is told can be run."""
    program = await world.start("login", "alice", "--no-browser")
    await browse(await program.line())
    told = (await program.end()).out.splitlines()[-1]
    assert told == "Settings for mail clients: jmap-proxy clients alice --user demo CLIENT"
    world.config.write_text(world.config.read_text().replace("127.0.0.1:0", "127.0.0.1:8620"))
    ended = await world.invoke("clients", "alice", "--user", "demo", "mujmap")
    assert 'username = "demo"' in ended.out


async def test_an_accounts_own_port_is_told_first(world: World) -> None:
    """There it may need no key."""
    world.write_config('listen = "127.0.0.1:8630"')
    program = await world.start("login", "alice", "--no-browser")
    await browse(await program.line())
    told = [line for line in (await program.end()).out.splitlines() if line.startswith("Session URL: ")]
    assert told[0] == "Session URL: http://127.0.0.1:8630/.well-known/jmap"
    assert len(told) == 2


@pytest.mark.parametrize(("hosts", "shown"), [('["mail.lan", "other"]', "mail.lan"), ("[]", "127.0.0.1")])
async def test_a_listener_on_all_addresses_is_told_by_a_name(world: World, hosts: str, shown: str) -> None:
    """No client can be pointed at 0.0.0.0."""
    listen = f'[listen]\ncert_file = "c"\nkey_file = "k"\nhttps = "0.0.0.0:8621"\nhosts = {hosts}'
    world.config.write_text(world.config.read_text().replace("[listen]", listen))
    program = await world.start("login", "alice", "--no-browser")
    await browse(await program.line())
    assert f"Session URL: https://{shown}:8621/.well-known/jmap\n" in (await program.end()).out


async def test_a_refused_sign_in_is_told(world: World) -> None:
    """Exit code 77, a hint, nothing saved."""
    world.idp.settings.deny = True
    program = await world.start("login", "alice", "--no-browser")
    status, page = await browse(await program.line())
    assert status == 400
    assert "access_denied" in page
    ended = await program.end()
    assert ended.code == 77
    assert "error: the sign-in was refused" in ended.err
    assert "hint: sign in again" in ended.err
    assert not world.token_file.exists()


async def test_a_name_that_is_not_configured_says_nothing(world: World) -> None:
    """What would be needed is told; without any configuration too."""
    for _ in range(2):
        ended = await (await world.start("login", "bob")).end()
        assert ended.code == 78
        assert "there is no account 'bob' in the configuration" in ended.err
        assert "jmap-proxy login EMAIL" in ended.err
        world.config.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["alice", "--server", "https://mail.example.com"], 78, "there is an account 'alice' in the configuration"),
        (["alice", "--preset", "cyrus"], 78, "there is an account 'alice' in the configuration"),
        (["bob@example.com", "--name", "alice"], 78, "there is an account 'alice' in the configuration"),
        (["alice", "--issuer", "https://sso.example.com"], 78, "accounts.alice.issuer says otherwise"),
        (["alice", "--client-id", "other"], 78, "accounts.alice.client_id says otherwise"),
        (["alice", "--preset", "hotmail"], 2, "hotmail"),
        (["alice", "--device", "--paste"], 2, "exclude each other"),
        (["alice@exa mple"], 69, "is no mail address"),
        (["bob@example.com", "--server", "mail.example.com"], 78, "not an absolute http or https URL"),
    ],
)
async def test_what_does_not_fit_together_is_told(world: World, options: list[str], code: int, told: str) -> None:
    """Before anything is asked; the configuration stays."""
    before = world.config.read_bytes()
    ended = await world.invoke("login", *options)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert world.idp.metadata_requests == 0
    assert world.config.read_bytes() == before


async def test_what_the_configuration_leaves_open_can_be_said(world: World) -> None:
    """Issuer and client of an account that names none; the configuration stays as it is."""
    lines = [line for line in world.config.read_text().splitlines() if not line.startswith(("issuer", "client_id"))]
    world.config.write_text("\n".join(lines))
    chosen = ("--issuer", world.idp.issuer, "--client-id", "jmap-proxy")
    program = await world.start("login", "alice", "--no-browser", *chosen)
    await browse(await program.line())
    assert (await program.end()).code == 0
    assert world.config.read_text() == "\n".join(lines)
    assert (await world.stored()).client_id == "jmap-proxy"


async def test_a_username_does_nothing_to_the_terminal(world: World) -> None:
    """It is the server's, and shown as text."""
    world.mail.settings.usernames = {"demo": "de\x1b[2Jmo"}
    program = await world.start("login", "alice", "--no-browser")
    await browse(await program.line())
    assert "Signed in as de?[2Jmo." in (await program.end()).out


async def test_a_terminal_of_few_letters_shows_the_key_all_the_same(world: World) -> None:
    """It is shown once; the server's name for the user must not keep it back."""
    world.mail.settings.usernames = {"demo": "日本"}
    program = await world.start("login", "alice", "--no-browser", PYTHONIOENCODING="latin-1")
    await browse(await program.line())
    ended = await program.end()
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert "Signed in as ??." in ended.out
    assert len(local_key(ended.out)) == 1

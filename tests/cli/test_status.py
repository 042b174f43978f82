from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.cli.running import running_proxy
from jmap_proxy.doctor.running import LIMIT
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from tests.support.world import World


async def told(world: World) -> dict[str, Any]:
    """What `status --json` tells; no secret of the store is in it."""
    ended = await world.invoke("status", "--json")
    assert (ended.code, ended.err) == (0, "")
    answer: dict[str, Any] = json.loads(ended.out)
    return answer


async def test_an_account_that_never_signed_in(world: World) -> None:
    """Without a proxy the store is looked at."""
    answer = await told(world)
    assert answer["running"] is False
    account = answer["accounts"]["alice"]
    assert (account["state"], account["told_by"], account["local_key"]) == ("needs_login", "store", False)
    assert account["expires_at"] is None


async def test_an_account_that_is_signed_in(world: World) -> None:
    """Times are absolute, and neither token nor key is told."""
    key = (await world.sign_in()).local_key
    tokens = await world.stored()
    ended = await world.invoke("status", "--json")
    account = json.loads(ended.out)["accounts"]["alice"]
    assert (account["state"], account["local_key"], account["renewable"]) == ("ok", True, True)
    assert account["expires_at"] == tokens.expires_at
    assert account["next_refresh_at"] < tokens.expires_at
    assert not any(secret in ended.out for secret in (tokens.access_token, tokens.refresh_token, key))


async def test_the_table_is_for_people(world: World) -> None:
    """Each account has a line, and the last line says whether the proxy runs."""
    await world.sign_in()
    ended = await world.invoke("status")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert any(line.startswith("alice") and " ok " in line and "in 60 min" in line for line in lines)
    assert lines[-1].startswith("The proxy is not running.")


async def test_names_are_shown_as_they_are(world: World) -> None:
    """An account's name is no markup."""
    text = world.config.read_text()
    world.config.write_text(text.replace("accounts.alice", 'accounts."[bold]x[end]"'))
    ended = await world.invoke("status")
    assert ended.code == 0
    assert "[bold]x[end]" in ended.out


async def test_what_is_long_is_folded(world: World) -> None:
    """Names and errors of any length: the table fits 80 columns, and nothing of them is lost."""
    name = "a-very-long-name-of-an-account." * 3
    world.config.write_text(world.config.read_text().replace("accounts.alice", f'accounts."{name}"'))
    file = world.state / "tokens" / f"{name}.jwe"
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_bytes(b"damaged")
    file.chmod(0o600)
    error = json.loads((await world.invoke("status", "--json")).out)["accounts"][name]["last_error"]
    ended = await world.invoke("status")
    assert ended.code == 0
    *table, last = ended.out.splitlines()
    assert last.startswith("The proxy is")
    assert all(len(line) <= 80 for line in table)
    start = table[0].index("last error")
    told = "".join(line[start:].strip() for line in table[1:])
    assert told.replace(" ", "") == error.replace(" ", "")
    assert "".join(line[: table[0].index("state")].strip() for line in table[1:]) == name
    assert "store_error" in ended.out


async def test_a_damaged_store_is_told(world: World) -> None:
    """With the file and what mends it, and the file is left as it is."""
    await world.sign_in()
    world.token_file.write_bytes(b"damaged")
    account = (await told(world))["accounts"]["alice"]
    assert account["state"] == "store_error"
    assert "alice.jwe" in account["last_error"]
    assert world.token_file.read_bytes() == b"damaged"


async def test_a_running_proxy_is_asked(world: World) -> None:
    """It knows more than the store, such as the last error."""
    await world.sign_in()
    async with world.assembly() as assembly, running_proxy(assembly):
        answer = await told(world)
    assert answer["running"] is True
    account = answer["accounts"]["alice"]
    assert (account["state"], account["told_by"], account["generation"]) == ("ok", "proxy", 1)


async def test_many_accounts_are_told_whole(world: World) -> None:
    """An answer of the proxy that comes in pieces is put together."""
    text = world.config.read_text()
    section = text.partition("[accounts.alice]")[2]
    more = "".join(f"\n[accounts.a{number}]{section}" for number in range(400))
    world.config.write_text(text + more)
    async with world.assembly() as assembly, running_proxy(assembly):
        answer = await told(world)
    assert answer["running"] is True
    assert {account["told_by"] for account in answer["accounts"].values()} == {"proxy"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"accounts": []}',
        b'{"accounts": {"alice": 5}}',
        b'{"accounts": {"alice": {"state": "dancing"}}}',
        b'{"accounts": {"alice": {"state": "ok", "expires_at": "now"}}}',
        b'{"accounts": {"alice": {"state": "ok", "expires_at": 1e300}}}',
    ],
)
async def test_another_program_on_the_admin_port_is_no_proxy(world: World, body: bytes) -> None:
    """Whatever it answers, the store is told of instead."""
    async with Scripted({"/readyz": (200, body, {})}) as other:
        world.admin_port = int(other.origin.rpartition(":")[2])
        world.write_config()
        answer = await told(world)
    assert answer["running"] is False
    assert answer["accounts"]["alice"]["told_by"] == "store"


async def test_another_programs_words_do_not_reach_the_terminal_as_commands(world: World) -> None:
    """Whatever says that it is our proxy: what it tells is shown, control characters as their names."""
    report = {"state": "retrying", "last_error": "\x1b]0;title\x07\x1b[2J\r\nalice ok"}
    body = json.dumps({"accounts": {"alice": report}}).encode()
    async with Scripted({"/readyz": (200, body, {})}) as other:
        world.admin_port = int(other.origin.rpartition(":")[2])
        world.write_config()
        ended = await world.invoke("status")
    assert "\\x1b[2J" in ended.out
    assert all(each.isprintable() for each in ended.out.replace("\n", ""))


async def test_no_more_is_read_than_a_proxy_says(world: World) -> None:
    """A program on that port that never ends its answer does not fill the memory; what was read can make sense."""
    endless = b'{"accounts": {}}' + b" " * (LIMIT + (4 << 20)) + b"!"
    async with Scripted({"/readyz": (200, endless, {})}) as other:
        world.admin_port = int(other.origin.rpartition(":")[2])
        world.write_config()
        assert (await told(world))["running"] is True


@pytest.mark.parametrize("admin", ["", "127.0.0.1:0", "[::1]:1"])
async def test_a_proxy_without_an_address_is_not_asked(world: World, admin: str) -> None:
    """No admin listener, none at a known port, or nobody there."""
    text = world.config.read_text()
    world.config.write_text(text.replace(f"127.0.0.1:{world.admin_port}", admin))
    assert (await told(world))["running"] is False

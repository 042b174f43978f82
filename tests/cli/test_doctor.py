from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.world import World


async def test_it_tells_people_what_is_wrong_and_what_mends_it(world: World) -> None:
    """In 80 columns but for paths; with an error the exit code is 1."""
    ended = await world.invoke("doctor", "--offline")
    assert (ended.code, ended.err) == (1, "")
    assert "error    not-signed-in (alice): the account is not signed in" in ended.out
    assert "         mend: run: jmap-proxy login alice" in ended.out
    assert ended.out.splitlines()[-1] == "1 error, 1 warning."
    assert all(len(line) <= 80 for line in ended.out.splitlines() if str(world.folder) not in line)


async def test_a_warning_is_no_error(world: World) -> None:
    """Signed in, with the proxy not running, the exit code is 0."""
    await world.sign_in()
    ended = await world.invoke("doctor")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1] == "no errors, 1 warning."


async def test_offline_nobody_is_asked(world: World) -> None:
    """Neither the server nor the provider."""
    await world.sign_in()
    world.mail.requests.clear()
    before = world.idp.metadata_requests
    await world.invoke("doctor", "--offline")
    assert (world.mail.requests, world.idp.metadata_requests) == ([], before)


async def test_one_account_can_be_looked_at_alone(world: World) -> None:
    """Faults of the others are not told."""
    await world.sign_in()
    world.config.write_text(f'{world.config.read_text()}\n[accounts.bob]\nserver = "{world.mail.base_url}"\n')
    for name, code in (("alice", 0), ("bob", 1)):
        ended = await world.invoke("doctor", "--json", name)
        accounts = {each["account"] for each in json.loads(ended.out)["findings"]}
        assert (ended.code, accounts) == (code, {"", name})


async def test_neither_tokens_nor_keys_are_told(world: World) -> None:
    """Nor, in JSON, where the user's home is."""
    key = (await world.sign_in()).local_key
    tokens = await world.stored()
    secrets = (tokens.access_token, tokens.refresh_token, key)
    for args in ((), ("--json",)):
        ended = await world.invoke("doctor", *args)
        assert not any(secret in ended.out + ended.err for secret in secrets)


async def test_accounts_at_one_server_are_told_of_it_once(world: World) -> None:
    """And each of its own."""
    await world.sign_in()
    lines = world.config.read_text().replace(world.mail.base_url, "http://127.0.0.1:1")
    other = lines[lines.index("[accounts.alice]") :].replace("alice", "bob")
    world.config.write_text(f"{lines}\n{other}\n")
    ended = await world.invoke("doctor", "--json")
    findings = json.loads(ended.out)["findings"]
    assert [each["code"] for each in findings if each["level"] == "error"] == ["not-signed-in", "unreachable"]

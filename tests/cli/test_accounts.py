from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from jmap_proxy.cli.accounts import Accounts, close
from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.sandbox import Fault
from jmap_proxy.tokens.report import State

if TYPE_CHECKING:
    from tests.support.world import World


async def test_accounts_are_made_exchanged_and_closed(world: World) -> None:
    """What is not made anew is the same as before; what has gone is not known any more."""
    async with world.assembly() as assembly:
        accounts, config = Accounts(assembly), assembly.config
        alice = config.accounts["alice"]
        accounts.exchange(config, await accounts.make(config, ["alice"]))
        plane, refresher = accounts.planes["alice"], accounts.refreshers[world.token_file]
        both = msgspec.structs.replace(config, accounts={"bob": alice, "alice": alice})
        accounts.exchange(both, await accounts.make(both, ["bob"]))
        assert accounts.planes["alice"] is plane
        assert accounts.refreshers[world.token_file] is refresher
        assert accounts.name_of(world.token_file) == "alice"
        assert accounts.token_files(["alice"]) == [world.token_file]
        assert {name: each.state for name, each in accounts.reports().items()} == dict.fromkeys(
            ("bob", "alice"), State.NEEDS_LOGIN
        )
        accounts.exchange(both, await accounts.make(both, ["alice"]))
        assert accounts.planes["alice"] is not plane
        only_bob = msgspec.structs.replace(config, accounts={"bob": alice})
        accounts.exchange(only_bob, {})
        assert list(accounts.planes) == list(accounts.reports()) == ["bob"]
        assert list(accounts.refreshers) == accounts.token_files(["bob"])
        await accounts.close()


async def test_parts_are_closed_after_their_last_request(world: World) -> None:
    """Not before."""
    async with world.assembly() as assembly:
        accounts, config = Accounts(assembly), assembly.config
        accounts.exchange(config, await accounts.make(config, ["alice"]))
        with accounts.planes["alice"].uses:
            accounts.exchange(msgspec.structs.replace(config, accounts={}), {})
            closing = asyncio.create_task(accounts.close())
            for _ in range(100):
                await asyncio.sleep(0)
            assert not closing.done()
        await closing


async def test_one_that_cannot_be_made_leaves_none(world: World) -> None:
    """Those before it are closed; what is served is not touched."""
    async with world.assembly() as assembly:
        accounts, config = Accounts(assembly), assembly.config
        bad = msgspec.structs.replace(config.accounts["alice"], ca_file="/none")
        wanted = msgspec.structs.replace(config, accounts={**config.accounts, "bad": bad})
        with pytest.raises(ConfigError, match="ca_file"):
            await accounts.make(wanted, wanted.accounts)
        assert accounts.planes == {}
        await close((await accounts.make(config, ["alice"])).values())


async def test_what_is_in_memory_only_is_not_given_up(world: World) -> None:
    """Whatever else is wrong, such as a provider that refuses the client since; it is when the disk has taken it."""
    await world.sign_in()
    await world.age(4000)
    obstacle = world.token_file.with_suffix(".previous")
    obstacle.unlink()
    obstacle.mkdir()
    async with world.assembly() as assembly:
        accounts, config = Accounts(assembly), assembly.config
        accounts.exchange(config, await accounts.make(config, ["alice"]))
        refresher = accounts.refreshers[world.token_file]
        await refresher.ensure_valid_token()
        world.idp.faults.add("token", Fault(status=401, body=b'{"error": "invalid_client"}'))
        await refresher.renew()
        assert refresher.report().state is State.CLIENT_REFUSED
        with pytest.raises(StoreError, match="could not be saved"):
            accounts.check_saved(["alice"])
        accounts.check_saved([])
        obstacle.rmdir()
        await refresher.wait_saved()
        accounts.check_saved(["alice"])
        await accounts.close()
    assert (await world.stored()).generation == 2

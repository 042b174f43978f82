from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jmap_proxy.sandbox import Fault

if TYPE_CHECKING:
    from tests.support.world import World


async def test_the_token_alone_is_printed(world: World) -> None:
    """One line with a token that is valid now, nothing else on either stream."""
    await world.sign_in()
    ended = await (await world.start("token", "alice")).end()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") == 1
    assert world.idp.check(ended.out.strip()) == "demo"


async def test_an_expired_token_is_renewed_and_saved(world: World) -> None:
    """What is printed is also what is stored."""
    await world.sign_in()
    await world.age(7200)
    ended = await world.invoke("token", "alice")
    stored = await world.stored()
    assert ended.code == 0
    assert ended.out.strip() == stored.access_token
    assert stored.generation == 2


async def test_an_ageing_token_is_renewed_before_the_command_ends(world: World) -> None:
    """The refresh in the background is not cut short: its answer is saved."""
    await world.sign_in()
    await world.age(3600 - 200)
    assert (await world.invoke("token", "alice")).code == 0
    assert (await world.stored()).generation == 2


async def test_an_account_that_is_not_signed_in_is_told(world: World) -> None:
    """Exit code 77, and the command that mends it."""
    ended = await world.invoke("token", "alice")
    assert (ended.code, ended.out) == (77, "")
    assert "hint: run: jmap-proxy login alice" in ended.err


async def test_a_lost_grant_needs_a_sign_in(world: World) -> None:
    """The provider's definite no: exit code 77, and the stored tokens stay."""
    await world.sign_in()
    await world.age(7200)
    world.idp.revoke_grants()
    ended = await world.invoke("token", "alice")
    assert (ended.code, ended.out) == (77, "")
    assert "invalid_grant" in ended.err
    assert world.token_file.exists()


async def test_trouble_at_the_provider_may_pass(world: World) -> None:
    """Exit code 75, and nothing is lost."""
    await world.sign_in()
    await world.age(7200)
    before = await world.stored()
    world.idp.faults.add("token", Fault(status=503))
    ended = await world.invoke("token", "alice")
    assert (ended.code, ended.out) == (75, "")
    assert "hint: " in ended.err
    assert before == await world.stored()
    assert (await world.invoke("token", "alice")).code == 0


async def test_a_changed_issuer_does_not_get_the_refresh_token(world: World) -> None:
    """The configuration names another provider now: told as that, with the sign-in that mends it."""
    await world.sign_in()
    await world.age(7200)
    world.config.write_text(world.config.read_text().replace(world.idp.issuer, "https://other.invalid"))
    ended = await world.invoke("token", "alice")
    assert ended.code == 78
    assert "another issuer" in ended.err


async def test_a_living_token_does_not_wait_for_the_provider(world: World) -> None:
    """It is printed at once; the answer to the refresh behind it is still taken."""
    await world.sign_in()
    await world.age(3600 - 250)
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    before = await world.stored()
    program = await world.start("token", "alice")
    assert await program.line() == before.access_token
    await fault.entered.wait()
    assert program.runs
    assert fault.hold is not None
    fault.hold.set()
    assert (await program.end()).code == 0
    assert (await world.stored()).generation == before.generation + 1

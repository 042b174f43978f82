from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox import Fault

if TYPE_CHECKING:
    from tests.support.world import World


async def test_the_sign_in_is_revoked_and_forgotten(world: World) -> None:
    """The provider knows the tokens no more, and here neither tokens nor key are left."""
    key = (await world.sign_in()).local_key
    tokens = await world.stored()
    ended = await world.invoke("logout", "alice")
    assert (ended.code, ended.err) == (0, "")
    assert "the provider has revoked" in ended.out
    assert world.idp.check(tokens.access_token) is None
    assert not world.token_file.exists()
    assert world.assembly().local_keys.account_of(key) is None


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(drop_early=True)])
async def test_a_revocation_that_fails_is_told(world: World, fault: Fault) -> None:
    """Here it is forgotten all the same; the user is told to end it there too."""
    await world.sign_in()
    world.idp.faults.add("revoke", fault)
    ended = await world.invoke("logout", "alice")
    assert ended.code == 0
    assert "did not confirm" in ended.out
    assert ("warning: " in ended.err) is fault.drop_early
    assert not world.token_file.exists()


async def test_who_is_not_signed_in_loses_only_the_key(world: World) -> None:
    """There is nothing to revoke; the key goes."""
    key = world.assembly().local_keys.renew("alice")
    ended = await world.invoke("logout", "alice")
    assert (ended.code, ended.out) == (0, "alice was not signed in.\n")
    assert world.assembly().local_keys.account_of(key) is None


async def test_a_damaged_file_is_left(world: World) -> None:
    """What cannot be read cannot be revoked: exit code 74, and the file is named."""
    await world.sign_in()
    world.token_file.write_bytes(b"damaged")
    ended = await world.invoke("logout", "alice")
    assert ended.code == 74
    assert str(world.token_file) in ended.err
    assert world.token_file.read_bytes() == b"damaged"


async def test_a_missing_client_secret_does_not_keep_it_from_being_forgotten(world: World) -> None:
    """The provider cannot be asked then; that is told, and the rest is done."""
    await world.sign_in()
    world.write_config('client_secret_file = "missing"')
    ended = await world.invoke("logout", "alice")
    assert ended.code == 0
    assert "client_secret_file" in ended.err
    assert "did not confirm" in ended.out
    assert not world.token_file.exists()

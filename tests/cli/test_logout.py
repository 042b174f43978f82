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


async def test_a_damaged_file_is_removed(world: World) -> None:
    """With one that was set aside. What cannot be read cannot be revoked: the user is told where to end it."""
    key = (await world.sign_in()).local_key
    aside = world.token_file.with_suffix(".damaged")
    for path in (world.token_file, aside):
        path.write_bytes(b"damaged")
        path.chmod(0o600)
    ended = await world.invoke("logout", "alice")
    assert ended.code == 0
    assert "nothing is revoked" in ended.out
    assert f"end the session at {world.idp.issuer} too" in ended.out
    assert world.idp.revocations == []
    assert not world.token_file.exists()
    assert not aside.exists()
    assert world.assembly().local_keys.account_of(key) is None


async def test_a_file_that_others_could_have_read_is_left(world: World) -> None:
    """The hint mends it, and then it can be revoked: exit code 74."""
    await world.sign_in()
    world.token_file.chmod(0o644)
    ended = await world.invoke("logout", "alice")
    assert ended.code == 74
    assert str(world.token_file) in ended.err
    assert world.token_file.exists()


async def test_a_missing_client_secret_does_not_keep_it_from_being_forgotten(world: World) -> None:
    """The provider cannot be asked then; that is told, and the rest is done."""
    await world.sign_in()
    world.write_config('client_secret_file = "missing"')
    ended = await world.invoke("logout", "alice")
    assert ended.code == 0
    assert "client_secret_file" in ended.err
    assert "did not confirm" in ended.out
    assert not world.token_file.exists()


async def test_a_client_that_registered_itself_goes_too(world: World) -> None:
    """After the sign-in was revoked as that client; nothing of it stays at the provider."""
    world.write_config()
    lines = [line for line in world.config.read_text().splitlines() if not line.startswith("client_id")]
    world.config.write_text("\n".join(lines))
    world.idp.settings.registration = "open"
    await world.sign_in()
    (client_id,) = world.idp.registered_clients
    ended = await world.invoke("logout", "alice")
    assert "the provider has revoked" in ended.out
    assert world.idp.revocations[-1].form["client_id"] == client_id
    assert world.idp.registered_clients == []


async def test_a_client_that_cannot_be_removed_keeps_nobody_signed_in(world: World) -> None:
    """What is here is forgotten."""
    lines = [line for line in world.config.read_text().splitlines() if not line.startswith("client_id")]
    world.config.write_text("\n".join(lines))
    world.idp.settings.registration = "open"
    world.idp.settings.registration_overrides = {"registration_client_uri": None}
    await world.sign_in()
    assert (await world.invoke("logout", "alice")).code == 0
    assert len(world.idp.registered_clients) == 1
    assert not world.token_file.exists()

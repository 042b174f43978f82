"""The OAuth client of an account: one that registered itself, one that needs no user, and none that is configured."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.shapes import protected_by
from tests.support.chain import signed_in_chain
from tests.support.clock import Clock
from tests.support.robot import RobotBrowser
from tests.support.world import basic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chain import Chain
    from tests.support.world import World

LIFE = 7200.0


async def sign_in_again(chain: Chain) -> None:
    """As another process does it, that shares the state."""
    browser = RobotBrowser()
    async with Assembly(chain.config, chain.state, chain.clock) as assembly:
        await sign_in_and_save(assembly, "alice", browser.open)
        await browser.pages()


async def problem(chain: Chain) -> dict[str, str]:
    """What a client is told."""
    async with chain.client.post(chain.api, json={"using": [], "methodCalls": []}) as response:
        assert response.status == 503
        told: dict[str, str] = await response.json(content_type=None)
        return told


async def test_a_forgotten_client_is_told_until_a_sign_in_mends_it(tmp_path: Path) -> None:
    """Nothing is lost, few new clients are registered, and the running proxy takes up what the sign-in got."""
    settings = ProviderSettings(registration="open", access_token_life=LIFE)
    async with signed_in_chain(tmp_path, Clock(), settings, client_id="") as chain:
        (old,) = chain.provider.registered_clients
        chain.provider.forget_clients()
        chain.clock.now += LIFE - 30
        assert (await chain.call())[0] == 200
        chain.clock.now += 31
        for _ in range(20):
            told = await problem(chain)
            assert told["type"].endswith(":client-refused")
            assert told["hint"] == "run: jmap-proxy login alice"
            chain.clock.now += 30
        assert len(chain.provider.registrations) == 2
        assert chain.provider.registered_clients == []
        await sign_in_again(chain)
        (new,) = chain.provider.registered_clients
        assert new != old
        chain.clock.now += LIFE
        assert (await chain.call())[0] == 200
        assert chain.provider.token_requests[-1].form["client_id"] == new
        assert chain.provider.token_requests[-1].outcome == "ok"


async def test_a_provider_that_remembers_again_is_gone_on_with(tmp_path: Path) -> None:
    """It had lost its memory for a while: nobody has to sign in."""
    settings = ProviderSettings(registration="open", access_token_life=LIFE)
    async with signed_in_chain(tmp_path, Clock(), settings, client_id="") as chain:
        remembered = dict(chain.provider._clients._registered)
        chain.provider.forget_clients()
        chain.clock.now += LIFE + 1
        await problem(chain)
        chain.provider._clients._registered.update(remembered)
        chain.clock.now += 3600
        assert (await chain.call())[0] == 200


def without(world: World, *keys: str) -> None:
    """Leave keys out of the configuration."""
    lines = [line for line in world.config.read_text().splitlines() if not line.startswith(keys)]
    world.config.write_text("\n".join(lines))


async def status(world: World) -> dict[str, object]:
    """What `status` tells of alice."""
    told: dict[str, object] = json.loads((await world.invoke("status", "--json")).out)["accounts"]["alice"]
    return told


async def is_served(world: World, key: str) -> bool:
    """Whether `serve` lets a client with this key in."""
    program, origin = await world.serve()
    try:
        async with (
            aiohttp.ClientSession(headers=basic(key)) as client,
            client.get(f"{origin}/.well-known/jmap") as response,
        ):
            return response.status == 200
    finally:
        assert (await program.end(signal.SIGTERM)).code == 0


@pytest.mark.parametrize("left_out", [("client_id", "issuer"), ("client_id",), ("issuer",)])
async def test_every_command_knows_the_client_of_the_sign_in(world: World, left_out: tuple[str, ...]) -> None:
    """Whatever of it the configuration leaves open."""
    without(world, *left_out)
    world.idp.settings.registration = "open"
    world.mail.settings.protected_resource = protected_by(world.idp.issuer)
    key = (await world.sign_in()).local_key
    before = await world.stored()
    assert (before.registration is None) is ("client_id" not in left_out)
    await world.age(3599)
    told = await status(world)
    assert (told["state"], told["issuer"], told["renewable"]) == ("ok", world.idp.issuer, True)
    ended = await world.invoke("token", "alice")
    assert ended.code == 0, ended.err
    assert world.idp.check(ended.out.strip()) == "demo"
    assert world.idp.token_requests[-1].form["client_id"] == before.client_id
    await world.age(3599)
    assert await is_served(world, key)
    assert (await world.stored()).registration == before.registration
    assert "the provider has revoked" in (await world.invoke("logout", "alice")).out
    assert world.idp.registered_clients == []


async def test_a_client_without_a_user_goes_on_for_ever(world: World) -> None:
    """No refresh token is needed: `status`, `token` and `serve` know that it can ask again."""
    secret = world.folder / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    world.idp.settings.client_secret = "s3cret"
    world.write_config(f'client_secret_file = "{secret}"', 'sign_in = "client_credentials"')
    ended = await world.invoke("login", "alice")
    assert ended.code == 0, ended.err
    (key,) = [line.removeprefix("Local key: ") for line in ended.out.splitlines() if line.startswith("Local key: ")]
    assert "new sign-in" not in ended.err
    await world.age(4000)
    assert (await status(world))["state"] == "ok"
    token = (await world.invoke("token", "alice")).out.strip()
    assert world.idp.check(token) == "demo"
    await world.age(4000)
    assert await is_served(world, key)
    assert (await world.stored()).generation == 3
    assert {request.grant_type for request in world.idp.token_requests} == {"client_credentials"}
    assert (await world.invoke("logout", "alice")).code == 0
    assert world.idp.check(world.idp.revocations[-1].form["token"]) is None

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli.client_choice import Chosen, choose_client, person_of, resource_to_ask
from jmap_proxy.config import DEFAULT_SCOPES, load_config
from jmap_proxy.errors import SignInError
from jmap_proxy.sandbox.shapes import MASKED_EMAIL, challenge, protected_by

if TYPE_CHECKING:
    from tests.support.world import World

MAIL = "urn:ietf:params:oauth:scope:mail"


@pytest.fixture
def open_world(world: World) -> World:
    """A world whose configuration names neither issuer nor client, and whose provider lets clients register."""
    lines = [line for line in world.config.read_text().splitlines() if not line.startswith(("issuer", "client_id"))]
    world.config.write_text("\n".join(lines))
    world.idp.settings.registration = "open"
    world.mail.settings.challenges = (challenge("sandbox", "/.well-known/oauth-protected-resource"),)
    world.mail.settings.protected_resource = protected_by(world.idp.issuer, scopes_supported=[MAIL, MASKED_EMAIL])
    return world


async def choose(world: World) -> Chosen:
    """The client of alice's next sign-in."""
    async with world.assembly() as assembly:
        return await choose_client(assembly, "alice", await assembly.store("alice").load(), None)


async def test_a_configured_client_asks_nobody(world: World) -> None:
    """As it is configured; neither server nor provider is asked."""
    chosen = await choose(world)
    assert (chosen.client.issuer, chosen.client.client_id) == (world.idp.issuer, "jmap-proxy")
    assert chosen.registration is None
    assert world.idp.metadata_requests == len(world.mail.requests) == 0


async def test_what_is_not_configured_is_registered(open_world: World) -> None:
    """A public client for a loopback redirect, that asks for what mail needs and no more."""
    chosen = await choose(open_world)
    assert chosen.client.client_id == open_world.idp.registered_clients[0]
    assert chosen.client.scopes == (MAIL, "openid", "offline_access")
    assert chosen.client.resource == open_world.mail.base_url
    wanted = open_world.idp.registrations[0]
    assert wanted["redirect_uris"] == ["http://127.0.0.1/callback", "http://[::1]/callback"]
    assert wanted["token_endpoint_auth_method"] == "none"
    assert wanted["scope"].split() == list(chosen.client.scopes)


async def test_a_registration_of_no_use_is_taken_back(open_world: World) -> None:
    """Where the provider allows it."""
    chosen = await choose(open_world)
    async with open_world.assembly() as assembly:
        http = await assembly.provider_http("alice")
        assert chosen.registration is not None
        await Chosen(chosen.client, chosen.wanted, chosen.registration, http).remove_if_fresh()
    assert open_world.idp.registered_clients == []


async def test_the_registered_client_is_used_again(open_world: World) -> None:
    """As long as the provider knows it; else there is a new one. The old one is not the sign-in's to remove."""
    await open_world.sign_in()
    stored = await open_world.stored()
    assert stored.registration is not None
    assert stored.registration.client_id == stored.client_id == open_world.idp.registered_clients[0]
    again = await choose(open_world)
    assert again.registration == stored.registration
    await again.remove_if_fresh()
    assert open_world.idp.registered_clients == [stored.client_id]
    open_world.idp.forget_clients()
    anew = await choose(open_world)
    assert anew.registration is not None
    assert anew.registration.client_id != stored.client_id


async def test_what_the_account_sets_counts(open_world: World) -> None:
    """Scopes and resource."""
    with open_world.config.open("a") as file:
        file.write('\nscopes = ["openid"]\nresource = "none"')
    client = (await choose(open_world)).client
    assert (client.scopes, client.resource) == (("openid",), "")


async def test_where_nobody_says_what_to_ask_for(open_world: World) -> None:
    """The usual scopes are asked for."""
    open_world.mail.settings.protected_resource = protected_by(open_world.idp.issuer)
    open_world.idp.settings.metadata_overrides = {"scopes_supported": None}
    assert (await choose(open_world)).client.scopes == DEFAULT_SCOPES


async def test_where_no_client_can_register(open_world: World) -> None:
    """What to register by hand, and how to name it."""
    open_world.idp.settings.registration = "off"
    with pytest.raises(SignInError, match="lets no client register itself") as caught:
        await choose(open_world)
    assert "--client-id" in caught.value.hint
    assert "http://127.0.0.1/callback" in caught.value.hint
    assert load_config(open_world.config).account("alice").client_id == ""


@pytest.mark.parametrize(
    ("configured", "found", "asked"),
    [
        ("", "", ""),
        ("", "https://m.example", "https://m.example"),
        ("none", "https://m.example", ""),
        ("https://x.example", "https://m.example", "https://x.example"),
    ],
)
def test_the_resource(configured: str, found: str, asked: str) -> None:
    """The configuration counts more than what the server calls itself; "none" is a word of its own."""
    assert resource_to_ask(configured, found) == asked


def test_whose_account_it_is() -> None:
    """As far as its name tells."""
    assert str(person_of("alice@example.com")) == "alice@example.com"
    assert person_of("alice") is None
    assert person_of("a@b@c") is None

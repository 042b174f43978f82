"""The status page of a running proxy: signing in again from it, for the user and for nobody else."""

from __future__ import annotations

import asyncio
import html
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientConnectorError, ClientSession

from jmap_proxy.cli.running import reloadable_proxy, running_proxy
from jmap_proxy.config import load_config
from jmap_proxy.local_keys import LocalKeys
from jmap_proxy.sandbox import Fault, browse
from tests.support.world import NAME, basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jmap_proxy.cli.running import Addresses
    from tests.support.world import World


class Visitor:
    """Whoever can reach the admin listener: the user's browser, or any program of this machine."""

    def __init__(self, addresses: Addresses, client: ClientSession) -> None:
        self.addresses = addresses
        self._client = client

    async def page(self) -> str:
        """The text of the page."""
        async with self._client.get(self.addresses.admin) as response:
            assert response.status == 200
            return html.unescape(await response.text())

    async def begin(self, account: str = NAME) -> str:
        """Press the button; the URL at which it goes on, "" if it does not."""
        csrf = re.search(r'name="csrf" value="([^"]+)"', await self.page())
        form = {"account": account, "csrf": csrf[1] if csrf else ""}
        async with self._client.post(f"{self.addresses.admin}/sign-in", data=form) as response:
            found = re.search(r'href="(http[^"]+)"', await response.text())
        return html.unescape(found[1]) if found else ""

    async def page_with(self, *outcomes: str) -> str:
        """The page, as soon as it tells one of these."""
        async with asyncio.timeout(30):
            page = await self.page()
            while not any(outcome in page for outcome in outcomes):
                page = await self.page()
            return page

    async def session(self, key: str) -> int:
        """The status of a request for the Session."""
        async with self._client.get(f"{self.addresses.http}/.well-known/jmap", headers=basic(key)) as response:
            return response.status


@asynccontextmanager
async def visited(world: World) -> AsyncIterator[Visitor]:
    """A running proxy with a visitor."""
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        yield Visitor(addresses, client)


async def test_a_lost_sign_in_is_renewed(world: World) -> None:
    """By the user's browser; the proxy goes on with the new tokens at once, and with the same local key."""
    key = (await world.sign_in()).local_key
    world.idp.revoke_grants()
    await world.age(7200)
    async with visited(world) as visitor:
        assert await visitor.session(key) == 503
        assert "The account needs you" in await visitor.page()
        status, _ = await browse(await visitor.begin())
        assert status == 200
        page = await visitor.page_with("Signed in anew", "did not succeed")
        assert "Signed in anew as demo." in page
        assert "All is well" in page
        assert await visitor.session(key) == 200
        assert world.mail.requests[-1].token == (await world.stored()).access_token


@pytest.mark.parametrize("scopes", ["", 'scopes = ["mail"]'])
async def test_another_program_cannot_slip_in_another_person(world: World, scopes: str) -> None:
    """It can begin a sign-in, and finish it as somebody else: that grant is given back, and all stays as it was.

    With an ID token the subject tells, without one the user name of the Session.
    """
    world.write_config(scopes)
    key = (await world.sign_in()).local_key
    assert bool((await world.stored()).subject) == (not scopes)
    before = world.token_file.read_bytes()
    world.idp.settings.user = "mallory"
    async with visited(world) as visitor:
        await browse(await visitor.begin())
        page = await visitor.page_with("Signed in anew", "did not succeed")
        assert "did not succeed: the sign-in is that of 'mallory', and not the same person's as before" in page
        assert await visitor.session(key) == 200
    assert world.token_file.read_bytes() == before
    assert len(world.idp.revocations) == 1


async def test_nobody_is_signed_in_who_was_not_before(world: World) -> None:
    """There is no button, and a form made by hand begins nothing: a terminal is where the first sign-in is."""
    async with visited(world) as visitor:
        page = await visitor.page()
        assert "Not signed in" in page
        assert "Sign in again" not in page
        assert await visitor.begin() == ""
    assert world.idp.authorize_requests == []
    assert not world.token_file.exists()


@pytest.mark.parametrize("meanwhile", ["login", "logout"])
async def test_what_happens_meanwhile_counts(world: World, meanwhile: str) -> None:
    """The person to be is who is signed in when the new tokens come; whoever signed out is not signed in again."""
    await world.sign_in()
    async with visited(world) as visitor:
        url = await visitor.begin()
        if meanwhile == "login":
            world.idp.settings.user = "ann"
            await world.sign_in()
            world.idp.settings.user = "demo"
        else:
            assert (await world.invoke("logout", NAME)).code == 0
        left = world.token_file.read_bytes() if world.token_file.exists() else b""
        await browse(url)
        page = await visitor.page_with("Signed in anew", "did not succeed")
        assert ("not the same person's" if meanwhile == "login" else "nobody can tell who it should be") in page
    assert (world.token_file.read_bytes() if world.token_file.exists() else b"") == left


async def test_no_local_key_is_made(world: World) -> None:
    """Nobody would see it."""
    await world.sign_in()
    LocalKeys(world.state).remove(NAME)
    async with visited(world) as visitor:
        await browse(await visitor.begin())
        await visitor.page_with("Signed in anew")
    assert not LocalKeys(world.state).has_key(NAME)


async def test_a_provider_that_is_down_is_told(world: World) -> None:
    """On the page, with its mend; the tokens stay."""
    await world.sign_in()
    before = world.token_file.read_bytes()
    world.idp.faults.add("metadata", Fault(status=503, count=-1))
    async with visited(world) as visitor:
        assert await visitor.begin() == ""
        assert "The sign-in did not succeed: " in await visitor.page()
    assert world.token_file.read_bytes() == before


async def test_refused_consent_is_told(world: World) -> None:
    """In the tab and on the page."""
    await world.sign_in()
    world.idp.settings.deny = True
    async with visited(world) as visitor:
        status, _ = await browse(await visitor.begin())
        assert status == 400
        await visitor.page_with("The sign-in did not succeed: ")


async def waits_at(url: str) -> bool:
    """Whether the loopback redirect of a sign-in still listens."""
    found = re.search(r"redirect_uri=http%3A%2F%2F(127\.0\.0\.1)%3A(\d+)", url)
    assert found is not None
    async with ClientSession() as client:
        try:
            async with client.get(f"http://{found[1]}:{found[2]}/") as response:
                return response.status == 404
        except ClientConnectorError:
            return False


async def test_a_sign_in_ends_with_the_proxy(world: World) -> None:
    """And is over when somebody begins it anew; nothing listens any more, and nothing is saved."""
    await world.sign_in()
    before = world.token_file.read_bytes()
    async with visited(world) as visitor:
        first = await visitor.begin()
        assert await waits_at(first)
        second = await visitor.begin()
        assert [await waits_at(first), await waits_at(second)] == [False, True]
    assert not await waits_at(second)
    assert world.token_file.read_bytes() == before


async def test_a_sign_in_ends_with_its_account(world: World) -> None:
    """When the configuration takes it away or changes it, it must not end up at another server or provider."""
    await world.sign_in()
    async with world.assembly() as assembly, reloadable_proxy(assembly) as proxy, ClientSession() as client:
        visitor = Visitor(proxy.addresses, client)
        for lines in (['scopes = ["openid"]'], []):
            url = await visitor.begin()
            assert await waits_at(url)
            world.write_config(*lines)
            await proxy.take_up(load_config(world.config))
            async with asyncio.timeout(30):
                while await waits_at(url):
                    pass
            assert "goes on at the provider" not in await visitor.page()
        url = await visitor.begin()
        await proxy.take_up(load_config(world.config))
        assert await waits_at(url), "a reload that changes nothing must not end it"


async def test_metrics_count_no_look_at_the_page(world: World) -> None:
    """The page is about the clients' traffic, not about itself."""
    await world.sign_in()
    async with visited(world) as visitor:
        for _ in range(3):
            await visitor.page()
        assert "No requests." in await visitor.page()

"""The status page in Chromium: what it looks like, whether everybody can use it, and signing in from it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.cli.running import running_proxy
from jmap_proxy.tokens.report import State
from tests.e2e.chromium import Chromium, PageServer
from tests.e2e.layout import INSTALLED, installed
from tests.support.status_page import HOSTILE, SIGN_IN_URL, Shown, served, waits_for_nobody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.e2e.tab import Tab
    from tests.support.world import World

LOOKS = {"light": (1200, False), "dark": (1200, True), "phone": (380, False), "phone-dark": (380, True)}
PICTURES = INSTALLED / "pictures"


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[Chromium]:
    """The browser, for all tests here."""
    home = folder / "chromium-status"
    home.mkdir()
    with Chromium(home) as running:
        yield running


@contextlib.asynccontextmanager
async def page_of(world: World, chromium: Chromium) -> AsyncIterator[tuple[str, str, Tab]]:
    """The page's address, the clients' address, and a tab."""
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, await chromium.tab() as tab:
        yield addresses.admin, addresses.http, tab


async def use(origin: str, key: str, times: int) -> None:
    """Make some traffic, a third of it in vain."""
    async with aiohttp.ClientSession() as client:
        for number in range(times):
            given = {"Authorization": f"Bearer {'wrong' if number % 3 == 0 else key}"}
            async with client.get(f"{origin}/.well-known/jmap", headers=given) as response:
                await response.read()


async def violations(tab: Tab) -> list[str]:
    """What axe-core finds, by rule and element."""
    await tab.evaluate(await asyncio.to_thread(installed("axe/node_modules/axe-core/axe.min.js").read_text) + ";0")
    found = await tab.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


async def look_at(tab: Tab, url: str, picture: str, look: str) -> None:
    """Go there, take a picture, and see that nobody is kept from using what is there."""
    width, dark = LOOKS[look]
    await tab.appear(width=width, dark=dark)
    await tab.goto(url)
    PICTURES.mkdir(exist_ok=True)
    await tab.picture(PICTURES / f"status-{picture}.png")
    assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert await violations(tab) == []
    assert tab.complaints == []


async def begins(account: str, show: Callable[[str], None]) -> str:
    """A sign-in that goes on in the browser, fails, or is done."""
    if account == "needs-login":
        show(SIGN_IN_URL)
        await asyncio.Event().wait()
    return await waits_for_nobody(account, show) if account == "retrying" else "ann@example.com"


@pytest.mark.parametrize("look", LOOKS)
async def test_everybody_can_use_it(world: World, chromium: Chromium, look: str) -> None:
    """axe-core finds nothing, nothing is wider than the window, and the browser complains of nothing."""
    signed_in = await world.sign_in()
    world.write_config("[accounts.bob]", 'server = "https://mail.example.com"')
    async with page_of(world, chromium) as (admin, http, tab):
        await use(http, signed_in.local_key, 9)
        await look_at(tab, admin, look, look)
        assert await tab.evaluate("document.querySelectorAll('h2').length") == 4
        assert "9 requests, 3 failed" in await tab.evaluate("document.body.innerText")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("what", ["states", "empty", "well"])
async def test_everybody_can_use_it_whatever_it_shows(chromium: Chromium, what: str, look: str) -> None:
    """All states at once with names that are long or mean harm, sign-ins under way and over; and nothing."""
    shown = Shown()
    if what == "states":
        shown.add_all_states()
        shown.add_traffic()
    elif what == "well":
        shown.add("alice@example.com", State.OK)
    async with served(shown, begins) as again, await chromium.tab() as tab:
        if what == "states":
            for name in ("needs-login", "retrying", "well"):
                await again.begin(name)
        await look_at(tab, shown.origin, f"{what}-{look}", look)
        assert await tab.evaluate("window.ran") is None
        headings = await tab.evaluate("[...document.querySelectorAll('h2')].map(each => each.innerText)")
        assert len(headings) == max(1, len(shown.reports)) + 2
        assert HOSTILE in headings or what != "states"


async def test_axe_would_find_something(world: World, chromium: Chromium) -> None:
    """The check can fail: a picture without a text is found."""
    await world.sign_in()
    async with page_of(world, chromium) as (admin, _, tab):
        await tab.goto(admin)
        await tab.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert any(each.startswith("image-alt") for each in await violations(tab))


async def test_a_script_in_the_page_would_not_run(world: World, chromium: Chromium) -> None:
    """The content security policy stands behind the escaping."""
    await world.sign_in()
    async with page_of(world, chromium) as (admin, _, tab):
        await tab.goto(admin)
        await tab.evaluate(
            "const s = document.createElement('script'); s.text = 'window.ran = 1'; document.body.append(s)"
        )
        assert await tab.evaluate("window.ran") is None
        assert any("Content Security Policy" in each for each in tab.complaints)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
async def test_a_hostile_page_neither_reads_nor_presses_it(chromium: Chromium, host: str, name: str) -> None:
    """Though it knows the token: another site, another port of this machine, and a name that was rebound to it."""
    shown, begun = Shown(), list[str]()
    shown.add("alice", State.OK)

    async def flow(account: str, show: Callable[[str], None]) -> str:
        begun.append(account)
        return await waits_for_nobody(account, show)

    async with served(shown, flow), PageServer() as pages, aiohttp.ClientSession() as client:
        async with client.get(shown.origin) as response:
            csrf = (await response.text()).partition('name="csrf" value="')[2].partition('"')[0]
        admin = shown.origin.replace("127.0.0.1", name)
        await chromium.open(pages.url(host, "status", {"admin": admin, "csrf": csrf}))
        learned = await pages.report()
        assert (set(learned.values()), len(learned), begun) == ({""}, 9, [])
        async with client.post(f"{shown.origin}/sign-in", data={"account": "alice", "csrf": csrf}):
            assert begun == ["alice"], "the token was a good one"
    await chromium.close_tabs()


async def test_a_page_that_is_out_of_date_can_be_pressed_again(chromium: Chromium) -> None:
    """The proxy was restarted at the same address: its new page comes with a notice, and works."""
    shown = Shown()
    shown.add("needs-login", State.NEEDS_LOGIN)
    async with await chromium.tab() as tab:
        await tab.appear(width=1200, dark=False)
        async with served(shown, begins):
            await tab.goto(shown.origin)
            await tab.evaluate("document.querySelector('[name=csrf]').value = 'of before'; 0")
            await press_button(tab)
            assert "the page was out of date" in await tab.evaluate("document.querySelector('[role=alert]').innerText")
            await tab.picture(PICTURES / "status-out-of-date.png")
            assert await violations(tab) == []
            await press_button(tab)
            await link_has_focus(tab)
            assert await tab.evaluate("document.activeElement.getAttribute('href')") == SIGN_IN_URL


async def link_has_focus(tab: Tab) -> None:
    """Wait until the browser has led the keyboard to the link; it may do so a moment after the page is there."""
    async with asyncio.timeout(30):
        while await tab.evaluate("document.activeElement.className") != "button main":
            pass


async def press_button(tab: Tab) -> None:
    """By the keyboard."""
    while await tab.evaluate("document.activeElement.tagName") != "BUTTON":
        await tab.press("Tab")
    await tab.press("Enter", leads_on=True)


async def test_signing_in_with_the_keyboard_alone(world: World, chromium: Chromium) -> None:
    """Tab and Enter lead from a lost sign-in to a new one, without a restart of the proxy."""
    await world.sign_in()
    before = await world.stored()
    world.idp.revoke_grants()
    async with page_of(world, chromium) as (admin, _, tab):
        await tab.goto(admin)
        await press_button(tab)
        await link_has_focus(tab)
        link = await tab.evaluate("document.activeElement.innerText")
        assert link.split()[:3] == ["Continue", "at", "127.0.0.1"], link
        await tab.press("Enter")
        async with asyncio.timeout(30):
            while "Signed in anew" not in await tab.evaluate("document.body.innerText"):
                await tab.goto(admin)
    assert (await world.stored()).sign_in_id != before.sign_in_id

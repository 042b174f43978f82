"""Chromium at the proxy: hostile pages get nothing through, and an allowed web client does its work."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
import structlog

from jmap_proxy.cli.running import running_proxy
from jmap_proxy.origins import parse_origin
from tests.e2e.chromium import Chromium, PageServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping
    from pathlib import Path

    from tests.support.world import World

SESSION = "/.well-known/jmap"
SEEN_BY = 10.0
FIXED = {
    "session": {"session", "session_no_cors"},
    "events": {"event_source", "event_source_with_credentials"},
    "websocket": {"websocket", "websocket_with_key"},
}
"""Ways of the hostile page that go to a fixed path, where the log does not tell them apart."""


class Refusals:
    """What the proxy says that it has refused."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take a line of the log (a structlog processor)."""
        if event["event"] == "refused":
            self.paths.append(event["path"])
            self._more.set()
        raise structlog.DropEvent

    async def of(self, *names: str) -> None:
        """Return once something has been refused under a path with each of these names in it."""
        missing = set(names)
        try:
            async with asyncio.timeout(SEEN_BY):
                while missing := missing.difference(*(path.split("/") for path in self.paths)):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"never refused: {missing}") from None


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[Chromium]:
    """The browser, for all tests here."""
    home = folder / "chromium"
    home.mkdir()
    with Chromium(home) as running:
        yield running


@pytest.fixture
async def pages() -> AsyncIterator[PageServer]:
    """A server of pages that nobody has allowed."""
    async with PageServer() as server:
        yield server


@pytest.fixture
def refusals() -> Iterator[Refusals]:
    """What the proxy refuses from now on; nothing else is logged."""
    before = structlog.get_config()
    said = Refusals()
    structlog.configure(processors=[said])
    yield said
    structlog.configure(**before)


@contextlib.asynccontextmanager
async def proxy_of(world: World, *, key: bool, allowed: str) -> AsyncIterator[tuple[str, str]]:
    """A proxy in front of the world's mail server; its origin, and the local key if one is needed."""
    world.config.write_text(
        f"""
        [listen]
        http = "127.0.0.1:0"
        admin = ""
        hosts = ["mail.example"]
        web_origins = ["{allowed}"]
        [accounts.alice]
        server = "{world.mail.base_url}"
        issuer = "{world.idp.issuer}"
        client_id = "jmap-proxy"
        local_auth = "{"key" if key else "none"}"
        """
    )
    signed_in = await world.sign_in()
    async with world.assembly() as assembly, running_proxy(assembly) as addresses:
        yield addresses.http, signed_in.local_key if key else ""


async def session_of(origin: str, key: str) -> Any:
    """The Session, as a program gets it."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession() as client, client.get(f"{origin}{SESSION}", headers=headers) as response:
        return await response.json()


def everything(session: Any, origin: str, key: str) -> dict[str, str]:
    """All that a page could want to know, NAME standing for what it may choose itself."""
    template, account = session["downloadUrl"], next(iter(session["accounts"]))
    known = {
        "session": f"{origin}{SESSION}",
        "download": fill(template, accountId=account, blobId="msg-0", name="NAME", type="image/png"),
        "upload": fill(session["uploadUrl"], accountId="NAME"),
        "events": fill(session["eventSourceUrl"], types="*", closeafter="no", ping="0"),
        "websocket": session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"],
    }
    at = parse_origin(origin)
    shown = parse_origin(session["apiUrl"])
    moved = {
        name: url.replace(f"//{shown.host}:{shown.port}/", f"//{at.host}:{at.port}/") for name, url in known.items()
    }
    return {**moved, "key": key or "any"}


def fill(template: str, **values: str) -> str:
    """A URL template with its variables filled in."""
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template


PLACES = [
    ("evil.example", "127.0.0.1"),
    ("evil.example", "localhost"),
    ("evil.example", "0.0.0.0"),  # noqa: S104 - an address of this machine to some systems
    ("evil.example", "mail.example"),
    ("rebind.example", "rebind.example"),
    ("localhost", "localhost"),
]
"""Where the hostile page is from and by which name it asks: another site, a name that the browser resolves to this
machine (rebound, or known to the proxy: there it marks nothing), and another program of this machine."""


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize(("page_host", "proxy_host"), PLACES)
async def test_a_hostile_page_gets_nothing_through(
    world: World, chromium: Chromium, pages: PageServer, refusals: Refusals, page_host: str, proxy_host: str, key: bool
) -> None:
    """It knows all URLs and the right key, and tries everything: the server sees no request, the page learns nothing.

    Not even whether there is an account: with a key or without one, all ways look the same.
    """
    async with proxy_of(world, key=key, allowed="http://localhost:1") as (origin, local_key):
        session = await session_of(origin, local_key)
        before = len(world.mail.requests)
        known = everything(session, origin.replace("127.0.0.1", proxy_host), local_key)
        await chromium.open(pages.url(page_host, "hostile", known))
        learned = await pages.report()
        await refusals.of(*set(learned).difference({"timing"}, *FIXED.values()))
        await chromium.close_tabs()
    assert learned == dict.fromkeys(learned, "")
    assert [request.raw_path for request in world.mail.requests[before:]] == []
    for place, ways in FIXED.items():
        # or more: after a 421 Chromium tries each once more on a new connection
        assert refusals.paths.count(urlsplit(known[place]).path) >= len(ways), place


async def test_what_an_allowed_page_has_got_stays_its_own(
    world: World, chromium: Chromium, pages: PageServer, refusals: Refusals
) -> None:
    """From an allowed origin the hostile page gets through, by what carries an Origin and nothing of the browser's own.

    So it knows what to do, and from another port it cannot do it: the browser's cache, which both share, holds what
    the server lets it keep for a year.
    """
    async with (
        PageServer() as another,
        proxy_of(world, key=False, allowed=f"http://localhost:{pages.port}") as (origin, key),
    ):
        known = everything(await session_of(origin, key), origin, key)
        before = len(world.mail.requests)
        await chromium.open(pages.url("localhost", "hostile", known))
        learned = await pages.report()
        got = {way for way, what in learned.items() if what}
        assert got >= {"session", "get", "get_with_key", "post", "worker", "event_source", "websocket"}
        assert not got & {
            "get_with_credentials",
            "xhr",
            "session_no_cors",
            "image",
            "script",
            "style",
            "frame",
            "popup",
        }
        assert len(world.mail.requests) > before
        await chromium.close_tabs()
        refusals.paths.clear()
        before = len(world.mail.requests)
        await chromium.open(another.url("localhost", "hostile", known))
        assert set((await another.report()).values()) == {""}
        await refusals.of(*set(learned).difference({"timing"}, *FIXED.values()))
        late = world.mail.requests[before:]  # a beacon of the first page may be among them
        assert [request.raw_path for request in late if request.method == "GET"] == []
        await chromium.close_tabs()


@pytest.mark.parametrize("link", ["http://{user}{host}{path}", "http://evil.example:{port}/redirect?to={url}"])
@pytest.mark.parametrize("key", [True, False])
async def test_an_address_that_is_typed_gets_nothing_through(
    world: World, chromium: Chromium, pages: PageServer, refusals: Refusals, link: str, key: bool
) -> None:
    """Nor does one that redirects here, or a link in a mail, which is the same to a browser; no key is kept either."""
    async with proxy_of(world, key=key, allowed="http://localhost:1") as (origin, local_key):
        download = everything(await session_of(origin, local_key), origin, local_key)["download"]
        before = len(world.mail.requests)
        for way, user in (("first", f"any:{local_key or 'key'}@"), ("second", "")):
            where = urlsplit(url := download.replace("NAME", way))
            path = url.removeprefix(f"http://{where.netloc}")
            values = {"user": user, "host": where.netloc, "path": path, "port": pages.port, "url": quote(url, safe="")}
            await chromium.open(link.format_map(values))
            await refusals.of(way)
        await chromium.close_tabs()
    assert [request.raw_path for request in world.mail.requests[before:]] == []


@pytest.mark.parametrize("key", [True, False])
async def test_an_allowed_web_client_does_its_work(
    world: World, chromium: Chromium, pages: PageServer, refusals: Refusals, key: bool
) -> None:
    """Session, API, upload, download, events, and errors that it can read; a WebSocket where no key is needed.

    A page cannot show a key with a WebSocket: the browser's constructor takes no header fields.
    """
    async with proxy_of(world, key=key, allowed=f"http://localhost:{pages.port}") as (origin, local_key):
        told = {"session": f"{origin}{SESSION}", "key": local_key, "websocket": "" if key else "yes"}
        await chromium.open(pages.url("localhost", "web_client", told))
        seen = await pages.report()
        if seen == "listening":
            world.mail.push_state()
            seen = await pages.report()
        await chromium.close_tabs()
    echo = ["Core/echo", {"hello": "world"}, "c"]
    mine = "urn:jmap-proxy:error:"
    refused = [401, f"{mine}key-refused", 'Bearer realm="jmap-proxy"']
    assert seen == {
        "username": "demo",
        "echo": echo,
        "sameBytes": True,
        "cacheControl": "private, immutable, max-age=31536000",
        "missing": 404,
        "wrongKey": refused if key else [200, None, ""],
        "wrongMethod": [405, f"{mine}method-refused", ""],
        "nowhere": [404, f"{mine}not-an-endpoint", ""],
        "change": "StateChange",
        **({} if key else {"socket": ["jmap", echo]}),
    }
    assert len(refusals.paths) == (3 if key else 2), refusals.paths

"""Each known kind of server through the whole chain, used by a client that forgives nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import Account, Config, Listen
from jmap_proxy.sandbox import IdentityProvider, MailServer, MailSettings
from jmap_proxy.sandbox.session_object import WEBSOCKET
from jmap_proxy.sandbox.shapes import (
    BLOB2,
    DOWNLOAD_ALL,
    MASKED_EMAIL,
    PUBLIC_ASSETS,
    TICKET,
    cyrus,
    fastmail,
    stalwart,
    twake,
)
from tests.support.robot import RobotBrowser
from tests.support.strict_client import StrictClient, StrictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from typing import Literal

BLOB = b"what was put in comes out" * 1000


@dataclass
class Chain:
    """A server, and a client of the proxy before it."""

    mail: MailServer
    client: StrictClient
    origin: str


@asynccontextmanager
async def chain(folder: Path, settings: MailSettings, rewrite: Literal["map", "force"] = "map") -> AsyncIterator[Chain]:
    """Provider, mail server and proxy, signed in."""
    async with IdentityProvider() as provider, MailServer(provider.check, settings=settings) as mail:
        account = Account(
            server=mail.session_url,
            issuer=provider.issuer,
            client_id="jmap-proxy",
            upstream_origins=tuple(mail.hosts.values()),
            rewrite=rewrite,
        )
        config = Config(listen=Listen(http="127.0.0.1:0", admin=""), accounts={"alice": account})
        async with Assembly(config, folder / "state") as assembly:
            browser = RobotBrowser()
            signed_in = await sign_in_and_save(assembly, "alice", browser.open)
            await browser.pages()
            async with (
                running_proxy(assembly) as addresses,
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as http,
            ):
                client = StrictClient(http, f"{addresses.http}/.well-known/jmap", signed_in.local_key)
                await client.sign_in()
                yield Chain(mail, client, addresses.http)


async def use_everything(chain: Chain) -> None:
    """Every endpoint of the RFCs, and those of the extensions that the Session names, where it names them."""
    client = chain.client
    await client.echo()
    assert await client.download(await client.upload(BLOB)) == BLOB
    assert b"event: state\n" in await client.event(chain.mail.push_state)
    for of_account in (False, True):
        if websocket := client.capability(WEBSOCKET, of_account=of_account):
            await client.echo_by_websocket(websocket["url"])
        if ticket := client.capability(TICKET, of_account=of_account):
            await client.ticket(ticket["generationEndpoint"], ticket["revocationEndpoint"])
        if download_all := client.capability(DOWNLOAD_ALL, of_account=of_account):
            assert (await client.download_all(download_all["endpoint"], "m0")).startswith(b"PK")
        if blob2 := client.capability(BLOB2, of_account=of_account):
            assert await client.download(await client.upload(BLOB[1:], blob2["uploadUrl"])) == BLOB[1:]


def places(mail: MailServer) -> set[str]:
    """The segments of all paths that were asked for."""
    return {segment for request in mail.requests for segment in request.raw_path.partition("?")[0].split("/")}


async def test_a_server_of_several_hosts(tmp_path: Path) -> None:
    """Fastmail's shape: four origins through one, each asked only for its own, all with the token."""
    async with chain(tmp_path, fastmail()) as it:
        await use_everything(it)
        assert set(it.client.session["capabilities"]) >= {BLOB2, MASKED_EMAIL}
        asked = {request.headers["Host"] for request in it.mail.requests}
        assert {f"http://{host}" for host in asked} == {it.mail.base_url, *it.mail.hosts.values()}
        assert len(asked) == 4
        assert all(request.token for request in it.mail.requests)
        assert places(it.mail) >= {"upload2", "upload", "download", "event", "api", "session"}


async def test_a_server_that_knows_nobody(tmp_path: Path) -> None:
    """Stalwart's shape: absolute URLs behind a relative redirect; nothing is ever asked without a token."""
    async with chain(tmp_path, stalwart("https://sso.example.com")) as it:
        await use_everything(it)
        assert all(request.token for request in it.mail.requests)
        assert "ws" in places(it.mail)


async def test_a_server_of_relative_urls(tmp_path: Path) -> None:
    """Cyrus's shape: relative URLs, a WebSocket without a host, and offers that must not reach the client."""
    async with chain(tmp_path, cyrus()) as it:
        await use_everything(it)
        assert "ws" in places(it.mail)
        headers = {"Authorization": f"Bearer {it.client.key}"}
        async with it.client.http.get(it.client.session_url, headers=headers) as response:
            assert not {"Alt-Svc", "Upgrade"} & set(response.headers)
        async with it.client.http.post(it.client.session["apiUrl"], headers=headers, json={}) as response:
            assert not {"Alt-Svc", "Upgrade"} & set(response.headers)


async def test_a_server_that_believes_to_be_localhost(tmp_path: Path) -> None:
    """Twake Mail's shape: with force all of it is found below the gateway's mount."""
    async with chain(tmp_path, twake(), "force") as it:
        await use_everything(it)
        assert places(it.mail) >= {"ws", "downloadAll", "upload", "download", "eventSource"}
        assert {request.method for request in it.mail.requests} >= {"DELETE"}
        assert all(request.raw_path.startswith("/oidc/") for request in it.mail.requests)
        public = it.client.capability(PUBLIC_ASSETS, of_account=True)
        assert public == {"publicURI": "http://localhost/publicAsset"}  # no endpoint that takes the token


@pytest.mark.parametrize("shape", [fastmail, stalwart, cyrus, twake])
async def test_the_client_is_strict(shape: Callable[[], MailSettings]) -> None:
    """Without a proxy it refuses what the servers do: redirects, or URLs that are not absolute."""
    async with (
        MailServer({"good": "demo"}.get, settings=shape()) as mail,
        aiohttp.ClientSession() as http,
    ):
        with pytest.raises(StrictError):
            await StrictClient(http, mail.session_url, "good").sign_in()

"""Client, proxy, mail server and provider in one process, with one clock."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import Account, Config, Listen, Store
from jmap_proxy.sandbox import IdentityProvider, MailServer, ProviderSettings
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.clock import Clock

CALL = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": True}, "e"]]}


@dataclass
class Chain:
    """Client, proxy, mail server and provider, with one clock."""

    provider: IdentityProvider
    mail: MailServer
    clock: Clock
    client: aiohttp.ClientSession
    api: str
    state: Path
    config: Config
    proxy: AsyncExitStack

    async def stop_proxy(self) -> None:
        """End the proxy; provider and mail server go on."""
        await self.proxy.aclose()

    async def call(self) -> tuple[int, str]:
        """One API request: the status, and the code of a problem."""
        async with self.client.post(self.api, json=CALL) as response:
            answer = await response.json(content_type=None)
            return response.status, answer.get("type", "")

    async def call_all(self, number: int) -> list[tuple[int, str]]:
        """So many API requests at once."""
        return await asyncio.gather(*(self.call() for _ in range(number)))

    @property
    def refreshes(self) -> list[str]:
        """The outcomes of all refresh requests that the provider has seen."""
        return [request.outcome for request in self.provider.token_requests if request.grant_type == "refresh_token"]


@asynccontextmanager
async def signed_in_chain(
    folder: Path, clock: Clock, settings: ProviderSettings, **account_settings: object
) -> AsyncIterator[Chain]:
    """The chain, signed in, with one request done."""
    async with (
        IdentityProvider(settings=settings, clock=clock) as provider,
        MailServer(provider.check) as mail,
    ):
        account = Account(server=mail.base_url, issuer=provider.issuer, client_id=settings.client_id)
        account = msgspec.structs.replace(account, **account_settings)
        config = Config(
            listen=Listen(http="127.0.0.1:0", admin=""), accounts={"alice": account}, store=Store(key="file")
        )
        async with AsyncExitStack() as proxy:
            assembly = await proxy.enter_async_context(Assembly(config, folder / "state", clock))
            browser = RobotBrowser()
            signed_in = await sign_in_and_save(assembly, "alice", browser.open)
            await browser.pages()
            addresses = await proxy.enter_async_context(running_proxy(assembly))
            client = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {signed_in.local_key}"}, connector=aiohttp.TCPConnector(limit=0)
            )
            await proxy.enter_async_context(client)
            async with client.get(f"{addresses.http}/.well-known/jmap") as response:
                api = (await response.json())["apiUrl"]
            yield Chain(provider, mail, clock, client, api, folder / "state", config, proxy)

"""Many requests at once when the token expires, or when the server starts to refuse it: the whole chain, one clock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import Account, Config, Listen
from jmap_proxy.sandbox import Fault, IdentityProvider, MailServer, ProviderSettings
from tests.support.clock import Clock
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CALL = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": True}, "e"]]}
CALLERS = 500


@dataclass
class Chain:
    """Client, proxy, mail server and provider, with one clock."""

    provider: IdentityProvider
    mail: MailServer
    clock: Clock
    client: aiohttp.ClientSession
    api: str

    async def call(self) -> tuple[int, str]:
        """One API request: the status, and the code of a problem."""
        async with self.client.post(self.api, json=CALL) as response:
            answer = await response.json(content_type=None)
            return response.status, answer.get("type", "")

    async def call_all(self, number: int = CALLERS) -> list[tuple[int, str]]:
        """So many API requests at once."""
        return await asyncio.gather(*(self.call() for _ in range(number)))

    @property
    def refreshes(self) -> list[str]:
        """The outcomes of all refresh requests that the provider has seen."""
        return [request.outcome for request in self.provider.token_requests if request.grant_type == "refresh_token"]


@asynccontextmanager
async def signed_in_chain(folder: Path, clock: Clock, settings: ProviderSettings) -> AsyncIterator[Chain]:
    """The chain, signed in, with one request done."""
    async with (
        IdentityProvider(settings=settings, clock=clock) as provider,
        MailServer(provider.check) as mail,
    ):
        account = Account(server=mail.base_url, issuer=provider.issuer, client_id=settings.client_id)
        config = Config(listen=Listen(http="127.0.0.1:0", admin=""), accounts={"alice": account})
        async with Assembly(config, folder / "state", clock) as assembly:
            browser = RobotBrowser()
            signed_in = await sign_in_and_save(assembly, "alice", browser.open)
            await browser.pages()
            async with (
                running_proxy(assembly) as addresses,
                aiohttp.ClientSession(
                    headers={"Authorization": f"Bearer {signed_in.local_key}"}, connector=aiohttp.TCPConnector(limit=0)
                ) as client,
            ):
                async with client.get(f"{addresses.http}/.well-known/jmap") as response:
                    api = (await response.json())["apiUrl"]
                yield Chain(provider, mail, clock, client, api)


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A signed-in chain whose tokens live an hour; the provider rotates."""
    async with signed_in_chain(tmp_path, Clock(), ProviderSettings(access_token_life=3600)) as chain:
        yield chain


async def test_500_requests_at_the_moment_of_expiry(chain: Chain) -> None:
    """500 concurrent requests when the token has expired: one token request, 500 good answers."""
    chain.clock.now += 3600
    assert set(await chain.call_all()) == {(200, "")}
    assert chain.refreshes == ["ok"]


async def test_500_requests_in_the_soft_window(chain: Chain) -> None:
    """In the soft window all 500 go on at once with the current token, and one refresh runs behind them."""
    token = chain.mail.requests[-1].token
    refresh = chain.provider.faults.add("token", Fault(hold=asyncio.Event()))
    chain.clock.now += 3600 - 120
    assert set(await chain.call_all()) == {(200, "")}
    assert {request.token for request in chain.mail.requests} == {token}
    assert refresh.hold is not None
    refresh.hold.set()
    async with asyncio.timeout(30):
        while chain.mail.requests[-1].token == token:
            assert await chain.call() == (200, "")
    assert chain.refreshes == ["ok"]


async def test_a_token_refused_within_its_life(chain: Chain) -> None:
    """The server starts to refuse a living token: every request is answered well, after one refresh in all."""
    chain.provider.revoke_access_tokens()
    assert set(await chain.call_all()) == {(200, "")}
    assert chain.refreshes == ["ok"]


async def test_a_server_that_refuses_every_token(chain: Chain) -> None:
    """Each request is tried twice at most and gets a clear answer; there is one refresh, not a storm."""
    chain.mail.refuse_all = True
    before = len(chain.mail.requests)
    first = await chain.call_all(100)
    second = await chain.call_all(100)
    assert set(first + second) == {(502, "urn:jmap-proxy:error:upstream-refused-token")}
    assert len(chain.mail.requests) - before <= 100 * 2 + 100
    assert chain.refreshes == ["ok"]


async def test_a_server_that_takes_tokens_again(chain: Chain) -> None:
    """When the server has come to its senses the next request passes, without a further refresh."""
    chain.mail.refuse_all = True
    await chain.call_all(5)
    chain.mail.refuse_all = False
    assert await chain.call() == (200, "")
    assert chain.refreshes == ["ok"]

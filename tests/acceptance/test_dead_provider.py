"""A provider that hangs, and an account of another one beside it: they share the process and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import Account, Config, Limits, Listen, Store
from jmap_proxy.sandbox import Fault, IdentityProvider, MailServer
from tests.support.chain import CALL
from tests.support.clock import Clock
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAITING = 300
"""Requests that wait for the provider that hangs; more than any pool of threads or connections has places."""

GENERATIONS = 3


class Neighbours:
    """Alice and Bob, each at a provider and a mail server of their own, and one proxy for both."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.providers: dict[str, IdentityProvider] = {}
        self.callers: dict[str, Callable[[], asyncio.Task[int]]] = {}

    async def start(self, stack: AsyncExitStack, state: Path) -> None:
        """Sign both in and start the proxy, which waits for providers as long as it takes."""
        accounts = {}
        for name in ("alice", "bob"):
            provider = await stack.enter_async_context(IdentityProvider(clock=self.clock))
            mail = await stack.enter_async_context(MailServer(provider.check))
            self.providers[name] = provider
            accounts[name] = Account(server=mail.base_url, issuer=provider.issuer, client_id="jmap-proxy")
        config = Config(
            listen=Listen(http="127.0.0.1:0", admin=""),
            accounts=accounts,
            store=Store(key="file"),
            limits=Limits(first_byte=600.0),
        )
        assembly = await stack.enter_async_context(Assembly(config, state, self.clock))
        keys = {}
        for name in accounts:
            browser = RobotBrowser()
            keys[name] = (await sign_in_and_save(assembly, name, browser.open)).local_key
            await browser.pages()
        addresses = await stack.enter_async_context(running_proxy(assembly))
        for name, key in keys.items():
            client = await stack.enter_async_context(
                aiohttp.ClientSession(
                    headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0)
                )
            )
            async with client.get(f"{addresses.http}/.well-known/jmap") as response:
                self.callers[name] = _caller(client, (await response.json())["apiUrl"])

    def call(self, name: str) -> asyncio.Task[int]:
        """One API request: its status."""
        return self.callers[name]()


def _caller(client: aiohttp.ClientSession, url: str) -> Callable[[], asyncio.Task[int]]:
    async def call() -> int:
        async with client.post(url, json=CALL) as response:
            await response.read()
            return response.status

    return lambda: asyncio.create_task(call())


@pytest.mark.parametrize("place", ["token", "metadata"])
async def test_a_dead_provider_touches_no_other_account(tmp_path: Path, place: str) -> None:
    """Hundreds of requests wait for Bob's; Alice's are answered and her tokens renewed, generation after generation."""
    neighbours = Neighbours()
    async with AsyncExitStack() as stack:
        await neighbours.start(stack, tmp_path / "state")
        neighbours.clock.now += 2 * 3600  # all tokens and all metadata are old
        fault = neighbours.providers["bob"].faults.add(place, Fault(count=-1, hold=asyncio.Event()))
        waiting = [neighbours.call("bob") for _ in range(WAITING)]
        await fault.entered.wait()
        for _ in range(GENERATIONS):
            assert set(await asyncio.gather(*(neighbours.call("alice") for _ in range(50)))) == {200}
            neighbours.clock.now += 2 * 3600
        assert not any(task.done() for task in waiting)
        refreshes = [
            each for each in neighbours.providers["alice"].token_requests if each.grant_type == "refresh_token"
        ]
        assert [each.outcome for each in refreshes] == ["ok"] * GENERATIONS
        assert fault.hold is not None
        fault.hold.set()
        assert set(await asyncio.gather(*waiting)) <= {200, 503}
        neighbours.clock.now += 61  # what the steps of the clock have made old is renewed
        assert await neighbours.call("bob") == 200

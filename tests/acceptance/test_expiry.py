"""Many requests at once when the token expires, or when the server starts to refuse it: the whole chain, one clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox import Fault, ProviderSettings
from tests.support.chain import Chain, signed_in_chain
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CALLERS = 500


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A signed-in chain whose tokens live an hour; the provider rotates."""
    async with signed_in_chain(tmp_path, Clock(), ProviderSettings(access_token_life=3600)) as chain:
        yield chain


async def test_500_requests_at_the_moment_of_expiry(chain: Chain) -> None:
    """500 concurrent requests when the token has expired: one token request, 500 good answers."""
    chain.clock.now += 3600
    assert set(await chain.call_all(CALLERS)) == {(200, "")}
    assert chain.refreshes == ["ok"]


async def test_500_requests_in_the_soft_window(chain: Chain) -> None:
    """In the soft window all 500 go on at once with the current token, and one refresh runs behind them."""
    token = chain.mail.requests[-1].token
    refresh = chain.provider.faults.add("token", Fault(hold=asyncio.Event()))
    chain.clock.now += 3600 - 120
    assert set(await chain.call_all(CALLERS)) == {(200, "")}
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
    assert set(await chain.call_all(CALLERS)) == {(200, "")}
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

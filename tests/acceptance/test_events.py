"""The event source on the whole chain: tokens that die, a server that is restarted, a sign-out."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import aiohttp

from jmap_proxy.sandbox import Fault, ProviderSettings
from tests.support.chain import signed_in_chain
from tests.support.clock import Clock
from tests.support.world import NAME

if TYPE_CHECKING:
    from pathlib import Path

    from jmap_proxy.sandbox import MailServer
    from tests.support.world import World

TIME_LIMIT = 60
LIFE = 3600
GENERATIONS = 5
RESTARTS = (1, 3)
"""Generations in which the mail server is restarted."""

_STATE = re.compile(rb'"Email": "(s[0-9]+)"')


async def events_url(client: aiohttp.ClientSession, origin: str) -> str:
    """The event source, as the proxy's Session names it."""
    async with client.get(f"{origin}/.well-known/jmap") as response:
        template: str = (await response.json())["eventSourceUrl"]
    return template.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0")


async def next_state(stream: aiohttp.ClientResponse) -> str:
    """The next state of Email that the client is told."""
    event = await stream.content.readuntil(b"\n\n")
    assert event.startswith(b"event: state\n")
    match = _STATE.search(event)
    assert match is not None
    return match[1].decode()


def push(mail: MailServer, count: int) -> None:
    """So many changes of state."""
    for _ in range(count):
        mail.push_state()


async def test_five_generations_of_tokens_and_two_restarts(tmp_path: Path) -> None:
    """One stream for the client; every state event once and in order, also of what happened in the gaps."""
    clock = Clock()
    async with (
        asyncio.timeout(TIME_LIMIT),
        signed_in_chain(tmp_path, clock, ProviderSettings(access_token_life=LIFE)) as chain,
        chain.client.get(await events_url(chain.client, chain.api.split("/o-")[0])) as stream,
    ):
        seen = []
        for generation in range(1, GENERATIONS + 1):
            push(chain.mail, 2)
            seen += [await next_state(stream) for _ in range(2)]
            if generation in RESTARTS:
                async with chain.mail.down():
                    push(chain.mail, 2)
                seen += [await next_state(stream) for _ in range(2)]
            if generation < GENERATIONS:
                clock.now += LIFE
                push(chain.mail, 2)  # the server ends the stream instead, since its token has died
                seen += [await next_state(stream) for _ in range(2)]
        chain.mail.drop_streams()
        push(chain.mail, 1)
        seen.append(await next_state(stream))
        assert seen == [f"s{number}" for number in range(2, len(seen) + 2)]
        assert chain.mail.streams == 1
        assert chain.refreshes == ["ok"] * (GENERATIONS - 1)
        asked = [request for request in chain.mail.requests if "/events" in request.raw_path]
        assert len({request.token for request in asked}) == GENERATIONS


async def test_a_sign_out_ends_the_stream(world: World, key: str) -> None:
    """Another process signs the account out: the running proxy ends its streams, and leaves the server."""
    _, origin = await world.serve()
    async with (
        asyncio.timeout(TIME_LIMIT),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.get(await events_url(client, origin)) as stream,
    ):
        world.mail.push_state()
        assert await next_state(stream) == "s2"
        assert (await world.invoke("logout", NAME)).code == 0
        assert await stream.content.read() == b""
        while world.mail.streams:  # noqa: ASYNC110 - the sandbox tells a number, no event
            await asyncio.sleep(0.01)


async def test_a_rejection_by_the_provider_does_not_cut_a_stream_that_works(world: World, key: str) -> None:
    """The sign-in is gone for other requests; what the server still tells is passed on."""
    _, origin = await world.serve()
    async with (
        asyncio.timeout(TIME_LIMIT),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.get(await events_url(client, origin)) as stream,
    ):
        world.idp.faults.add("token", Fault(status=400, body=b'{"error": "invalid_grant"}'))
        world.mail.refused_tokens.add(world.mail.requests[-1].token)
        async with client.get(f"{origin}/.well-known/jmap") as response:
            assert response.status == 503
        world.mail.refused_tokens.clear()
        world.mail.push_state()
        assert await next_state(stream) == "s2"

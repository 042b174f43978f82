"""What a local key has opened ends with the key, also what would not end by itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, WSMsgType

from jmap_proxy.cli.running import reloadable_proxy, running_proxy
from jmap_proxy.sandbox import Fault
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse, StreamReader

    from tests.support.world import World

WEBSOCKET = "urn:ietf:params:jmap:websocket"


async def session_at(client: ClientSession, origin: str, headers: dict[str, str]) -> dict[str, Any]:
    """The Session."""
    async with client.get(f"{origin}/.well-known/jmap", headers=headers) as response:
        assert response.status == 200
        session: dict[str, Any] = await response.json()
        return session


async def events_url(client: ClientSession, origin: str, headers: dict[str, str]) -> str:
    """Where all events come without an end."""
    url: str = (await session_at(client, origin, headers))["eventSourceUrl"]
    return url.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0")


async def told(world: World, stream: StreamReader) -> None:
    """See that a state event comes."""
    world.mail.push_state()
    assert (await stream.readuntil(b"\n\n")).startswith(b"event: state\n")


@asynccontextmanager
async def listening(world: World, client: ClientSession, origin: str, key: str = "") -> AsyncIterator[StreamReader]:
    """An event stream that works."""
    headers = basic(key) if key else {}
    async with client.get(await events_url(client, origin, headers), headers=headers) as response:
        await told(world, response.content)
        yield response.content


@asynccontextmanager
async def open_streams(world: World, client: ClientSession, origin: str, key: str) -> AsyncIterator[Any]:
    """An event stream and a WebSocket that work, opened with this key."""
    url = (await session_at(client, origin, basic(key)))["capabilities"][WEBSOCKET]["url"]
    async with (
        listening(world, client, origin, key) as stream,
        client.ws_connect(url, headers=basic(key), protocols=["jmap"]) as socket,
    ):
        await socket.send_json({"@type": "Request", "using": [], "methodCalls": []})
        assert (await socket.receive()).type is WSMsgType.TEXT
        yield stream, socket


async def check_ended(streams: Any) -> None:
    """See that both have ended."""
    stream, socket = streams
    assert await stream.read() == b""
    assert (await socket.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED}


@pytest.mark.parametrize("end", ["renew", "remove"])
async def test_streams_end_with_their_key(world: World, client: ClientSession, end: str) -> None:
    """Those that needed no key go on, and so do those with the new one."""
    key = (await world.sign_in()).local_key
    world.write_config('local_auth = "none"', 'listen = "127.0.0.1:0"')
    async with (
        world.assembly() as assembly,
        running_proxy(assembly) as addresses,
        listening(world, client, addresses.own["alice"]) as kept,
        open_streams(world, client, addresses.http, key) as streams,
    ):
        other_process, new = world.assembly().local_keys, ""
        if end == "renew":
            new = other_process.renew("alice")
        else:
            other_process.remove("alice")
        await check_ended(streams)
        if new:
            async with listening(world, client, addresses.http, new) as anew:
                await told(world, anew)
        await kept.readuntil(b"\n\n")  # told with one of the others
        await told(world, kept)


async def test_a_stream_that_opens_after_its_key_has_gone_ends_too(world: World, client: ClientSession) -> None:
    """Its request came in before, and waited for the Session."""
    headers = basic((await world.sign_in()).local_key)
    async with world.assembly() as assembly, running_proxy(assembly) as addresses:
        path = (await events_url(client, addresses.http, headers)).removeprefix(addresses.http)
    fault = world.mail.faults.add("session", Fault(hold=asyncio.Event()))
    assert fault.hold is not None
    async with world.assembly() as assembly, reloadable_proxy(assembly) as proxy:
        asking = asyncio.create_task(client.get(f"{proxy.addresses.http}{path}", headers=headers))
        await fault.entered.wait()
        world.assembly().local_keys.renew("alice")
        proxy.end_revoked()
        fault.hold.set()
        response: ClientResponse
        async with await asking as response:
            assert response.status == 200
            await response.read()


async def test_a_damaged_file_of_keys_ends_nothing(world: World, client: ClientSession) -> None:
    """It takes no key away; when it is mended, what has changed meanwhile counts."""
    key = (await world.sign_in()).local_key
    file = world.state / "local-keys.json"
    async with (
        world.assembly() as assembly,
        reloadable_proxy(assembly) as proxy,
        open_streams(world, client, proxy.addresses.http, key) as streams,
    ):
        file.write_bytes(b"damaged")
        proxy.end_revoked()
        await told(world, streams[0])
        file.unlink()
        await check_ended(streams)

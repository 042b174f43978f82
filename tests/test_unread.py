"""A server that sends answers without end, to whoever asks: nothing fills up, and nobody waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.oauth.http import provider_session
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.unread import MOST_UNREAD
from tests.proxy.support import raw_server

if TYPE_CHECKING:
    from collections.abc import Callable

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfinal"
SESSIONS = pytest.mark.parametrize("session", [provider_session, upstream_session])


@SESSIONS
async def test_a_flood_of_interim_answers_ends_the_connection(session: Callable[[], aiohttp.ClientSession]) -> None:
    """It is over with the first piece that brings too many; no more of it is taken."""
    gone = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while True:
                writer.write(INTERIM * 1000)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            gone.set()

    async with raw_server(flood) as url, session() as http, asyncio.timeout(10):
        with pytest.raises(aiohttp.ClientPayloadError):
            await http.get(url)
        await gone.wait()


@SESSIONS
async def test_as_many_as_can_wait_do(session: Callable[[], aiohttp.ClientSession]) -> None:
    """A server that was busy, or a loop that was: what has come together is read, and then the answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(INTERIM * (MOST_UNREAD - 1) + FINAL)

    async with raw_server(serve) as url, session() as http, http.get(url) as response:
        assert await response.read() == b"final"


@SESSIONS
async def test_a_server_that_takes_long_may_say_so_often(session: Callable[[], aiohttp.ClientSession]) -> None:
    """One after the other, as they are read, there is no limit (measured: Cyrus sends one in some seconds)."""
    sent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            writer.write(INTERIM * (MOST_UNREAD // 2))
            await writer.drain()
            async with raw_server(other) as elsewhere, session() as http, http.get(elsewhere) as response:
                await response.read()  # meanwhile the loop takes in what has arrived
        writer.write(FINAL)
        sent.set()

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(FINAL)

    async with raw_server(serve) as url, session() as http, http.get(url) as response:
        assert await response.read() == b"final"
    assert sent.is_set()

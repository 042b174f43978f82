"""WebSockets on which each message is sent when the one before has come back."""

from __future__ import annotations

import asyncio
import time

import aiohttp

MESSAGE = '{"@type":"Request","id":"r","using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"0"]]}'


async def echo(url: str, key: str, connections: int, seconds: float) -> tuple[int, float]:
    """Send and wait for a while on so many connections; messages that came back, and seconds that it took."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        sockets = [await http.ws_connect(url, protocols=("jmap",)) for _ in range(connections)]
        since = time.perf_counter()
        counts = await asyncio.gather(*(_bounce(socket, since + seconds) for socket in sockets))
        took = time.perf_counter() - since
        return sum(counts), took


async def _bounce(socket: aiohttp.ClientWebSocketResponse, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await socket.send_str(MESSAGE)
        if (await socket.receive_str()) != MESSAGE:
            raise RuntimeError("another message has come back")
        count += 1
    return count

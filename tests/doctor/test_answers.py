from __future__ import annotations

import aiohttp

from jmap_proxy.doctor.answers import read_answer
from tests.support.scripted_server import Scripted


async def test_an_answer_is_read_whole_or_not_much_of_it() -> None:
    """Whoever sends more than is wanted is not listened to for ever."""
    body = b"x" * 3_000_000
    async with Scripted({"/": (200, body, {})}) as server, aiohttp.ClientSession() as http:
        async with http.get(server.origin) as response:
            assert await read_answer(response.content, 1 << 23) == body
        async with http.get(server.origin) as response:
            assert len(await read_answer(response.content, 1000)) < len(body)

"""Reading answers of programs that may be anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


async def read_answer(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The body, however many pieces it comes in; no more of it than `limit` bytes and one piece."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > limit:
            break
    return bytes(body)

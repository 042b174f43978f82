"""Telling a body that its bytes have become unreadable, in the middle of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import StreamReader


def break_body(body: StreamReader, error: Exception) -> None:
    """Raise `error` for whoever reads the body, now or later; nothing if it has come to its end.

    Twice. At once, since whoever ends the connection may end the body too, before the loop goes round: half of it would
    look whole. And a round later: who has just been woken for the end of a chunk looks only for more bytes, and would
    wait again for ever (seen in aiohttp 3.14).
    """
    if body.is_eof():
        return
    body.set_exception(error)
    asyncio.get_running_loop().call_soon(body.set_exception, error)

"""Asking a running proxy how its accounts are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import msgspec

from jmap_proxy.doctor.answers import read_answer
from jmap_proxy.tokens.report import TokenReport  # noqa: TC001 - msgspec reads the annotation below

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin

LIMIT = 16 << 20
"""Bytes that are read of the answer; an account takes some 300."""


class _Ready(msgspec.Struct):
    """What is used of the answer of /readyz; anything else on that port is no proxy of ours."""

    accounts: dict[str, TokenReport]


async def ask_proxy(http: aiohttp.ClientSession, admin: Origin) -> dict[str, TokenReport] | None:
    """What a running proxy with this admin listener tells of its accounts; None if none answers."""
    try:
        async with http.get(f"{admin}/readyz", allow_redirects=False) as response:
            return msgspec.json.decode(await read_answer(response.content, LIMIT), type=_Ready).accounts
    except (aiohttp.ClientError, OSError, ValueError, RecursionError):
        return None

from __future__ import annotations

import aiohttp
import pytest

from jmap_proxy.addresses import Address
from jmap_proxy.doctor.door import Way
from jmap_proxy.doctor.running import ask_proxy
from tests.support.scripted_server import Scripted

ALICE = b'{"status": "not ready", "accounts": {"alice": {"state": "needs_login"}}}'


@pytest.mark.parametrize(("body", "known"), [(ALICE, ["alice"]), (b"<html>", None), (b'{"accounts": 1}', None)])
async def test_only_a_proxy_of_ours_is_listened_to(body: bytes, known: list[str] | None) -> None:
    """It tells of its accounts also with 503."""
    async with Scripted({"/readyz": (503, body, {})}) as server, aiohttp.ClientSession() as http:
        admin = Way("listen.admin", Address("127.0.0.1", int(server.origin.rpartition(":")[2])))
        told = await ask_proxy(http, admin.origin)
    assert (None if told is None else list(told)) == known


async def test_nobody_tells_nothing() -> None:
    """There is no proxy."""
    async with aiohttp.ClientSession() as http:
        assert await ask_proxy(http, Way("listen.admin", Address("127.0.0.1", 1)).origin) is None

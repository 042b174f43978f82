from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.names import MOST, Resolver
from jmap_proxy.oauth.http import provider_session
from jmap_proxy.proxy.upstream.pool import upstream_session

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

ADDRESS = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]


class NameServer:
    """Looks names up; those that begin with "dead" hang until it is told to let go of them."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked: list[str] = []

    def look_up(self, host: str, _port: int, **_how: Any) -> Any:
        """As `socket.getaddrinfo`."""
        self.asked.append(host)
        if host.startswith("dead"):
            self.let_go.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return ADDRESS


async def begun(server: NameServer, number: int) -> None:
    """Wait until so many names were asked for."""
    async with asyncio.timeout(10):
        while len(server.asked) < number:  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.001)


async def test_names_that_hang_hold_up_no_other_ones() -> None:
    """More of them than any loop has threads for names; and they do not fill those for files."""
    server = NameServer()
    resolver = Resolver(server.look_up)
    hanging = [asyncio.create_task(resolver.resolve(f"dead{number}.example")) for number in range(MOST - 1)]
    await begun(server, MOST - 1)
    async with asyncio.timeout(10):
        assert [each["host"] for each in await resolver.resolve("good.example")] == ["127.0.0.1"]
        assert await asyncio.to_thread(lambda: "read") == "read"
    server.let_go.set()
    assert {type(each) for each in await asyncio.gather(*hanging, return_exceptions=True)} == {socket.gaierror}


async def test_who_goes_away_leaves_no_place_for_one_more_thread() -> None:
    """Nothing ends a call that hangs, so there are never more of them; a place that is free is used."""
    server = NameServer()
    resolver = Resolver(server.look_up)
    hanging = [asyncio.create_task(resolver.resolve(f"dead{number}.example")) for number in range(MOST)]
    await begun(server, MOST)
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    waiting = asyncio.create_task(resolver.resolve("good.example"))
    await asyncio.sleep(0)
    assert "good.example" not in server.asked
    server.let_go.set()
    async with asyncio.timeout(10):
        assert await waiting


async def test_a_link_local_address_keeps_its_zone() -> None:
    """The one case in which aiohttp asks for more."""
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 1))]
    (address,) = await Resolver(lambda *_, **__: found).resolve("here.example", 80, socket.AF_INET6)
    assert address["host"].startswith("fe80::1%")


@pytest.mark.parametrize("session", [provider_session, upstream_session])
async def test_all_connections_go_by_it(session: Callable[[], aiohttp.ClientSession]) -> None:
    """To providers and to servers."""
    async with session() as http:
        assert isinstance(http.connector._resolver, Resolver)  # type: ignore[union-attr]

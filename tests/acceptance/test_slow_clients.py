"""A thousand clients that send a byte now and then do not keep a normal one from being served."""

from __future__ import annotations

import asyncio
import resource
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import MailServer
from tests.proxy.support import AUTH, KEY, proxy_to
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MANY = 1000
FILES = 4096
HEAD = 15
ECHO = b'{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"0"]]}'
STRANGER = b"GET /.well-known/jmap HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """Let this process have a file for both ends of each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip("this user may not open enough files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Slow:
    """A client that sends byte by byte.

    Attributes:
        first: A request that it sends at once, and gets refused.
        left: What it then sends slowly.
    """

    first: bytes = b""
    left: bytes = b""
    reader: asyncio.StreamReader = field(init=False)
    writer: asyncio.StreamWriter = field(init=False)

    async def come(self, port: int) -> None:
        """Connect, send the first request and read its answer."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        if self.first:
            self.writer.write(self.first)
            head = await self.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 401 ")
            await self.reader.readuntil(b"}")

    def send_byte(self) -> None:
        """Send the next byte, if there is one left and the proxy still listens."""
        if not self.reader.at_eof() and self.reader.exception() is None:
            self.writer.write(self.left[:1])
            self.left = self.left[1:]

    async def last_words(self) -> bytes:
        """What the proxy says until it closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


KINDS = (
    Slow(),  # says nothing at all
    Slow(left=STRANGER),  # trickles its first head
    Slow(first=STRANGER, left=STRANGER),  # trickles its second one
)


@asynccontextmanager
async def crowd(number: int) -> AsyncIterator[list[Slow]]:
    """So many slow clients, of all kinds, that have not come yet."""
    slow = [Slow(KINDS[i % 3].first, KINDS[i % 3].left) for i in range(number)]
    try:
        yield slow
    finally:
        for client in slow:
            if hasattr(client, "writer"):
                client.writer.close()


async def call_api(url: str) -> int:
    """The status that a normal client gets, which comes by a connection of its own."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as client,
        client.post(url, data=ECHO, headers={"Content-Type": "application/json"}) as response,
    ):
        assert b"Core/echo" in await response.read()
        return response.status


async def test_slow_clients_are_put_up_with_for_a_while() -> None:
    """Normal ones are served all the time; when the time for a head is over, all slow ones are put out."""
    clock = Clock(0)
    async with (
        MailServer({"good": "demo"}.get) as mail,
        proxy_to(mail.session_url, head=HEAD, clock=clock) as proxy,
        crowd(MANY) as slow,
    ):
        url = await proxy.url("apiUrl")
        for start in range(0, MANY, 100):  # no more at once than the system keeps for a busy listener
            await asyncio.gather(*(client.come(proxy.port) for client in slow[start : start + 100]))
        for second in range(1, HEAD):
            clock.now = second
            for client in slow:
                client.send_byte()
            assert await call_api(url) == 200
            assert len(proxy.listener.admission) >= MANY
            assert proxy.listener.admission.end_late() == 0
        clock.now = HEAD + 1  # the third kind sent its first byte in the first second
        proxy.listener.admission.end_late()
        words = await asyncio.gather(*(client.last_words() for client in slow))
        assert [said[:13] for said in words[:3]] == [b"", b"HTTP/1.1 408 ", b"HTTP/1.1 408 "]
        assert [said[:13] for said in words] == [words[i % 3][:13] for i in range(MANY)]
        assert await call_api(url) == 200


async def test_more_slow_clients_than_places_are_no_obstacle() -> None:
    """With 120 places for 1,000 of them: who sends its request gets the place of one that does not."""
    places = 120
    async with (
        MailServer({"good": "demo"}.get) as mail,
        proxy_to(mail.session_url, connections=places, clock=Clock(0)) as proxy,
        crowd(MANY) as slow,
    ):
        url = await proxy.url("apiUrl")
        at_once = places // 10
        for start in range(0, MANY, at_once):
            await asyncio.gather(*(client.come(proxy.port) for client in slow[start : start + at_once]))
            for client in slow[: start + at_once]:
                client.send_byte()
            assert await call_api(url) == 200
            assert len(proxy.listener.admission) <= places


async def test_slow_bodies_are_no_obstacle_and_come_whole() -> None:
    """A client with a key may be slow: all of them are served in the end, and normal ones meanwhile."""
    async with MailServer({"good": "demo"}.get) as mail, proxy_to(mail.session_url) as proxy, crowd(300) as slow:
        url = await proxy.url("apiUrl")
        path = "/" + url.split("/", 3)[3]
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\nContent-Type: application/json\r\n"
        head += f"Connection: close\r\nContent-Length: {len(ECHO)}\r\n\r\n"
        for client in slow:
            client.first, client.left = b"", ECHO
            await client.come(proxy.port)
            client.writer.write(head.encode())
        for _ in range(5):
            for client in slow:
                client.send_byte()
            assert await call_api(url) == 200
        for client in slow:
            client.writer.write(client.left)
        answers = await asyncio.gather(*(client.last_words() for client in slow))
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)

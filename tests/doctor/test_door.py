from __future__ import annotations

import asyncio
import errno

import aiohttp
import pytest

from jmap_proxy.addresses import Address
from jmap_proxy.config import parse_config
from jmap_proxy.doctor.door import Knocked, Way, judge_binding, judge_knocks, knock, look_at_address, ways_of
from jmap_proxy.doctor.finding import Level
from tests.support.ports import free_port
from tests.support.scripted_server import Scripted

CONFIG = """
[listen]
http = "127.0.0.1:8620"
https = "0.0.0.0:8621"
admin = "[::1]:0"
[accounts.alice]
server = "https://mail.example.com"
listen = "127.0.0.1:8630"
local_auth = "none"
[accounts.bob]
server = "https://mail.example.com"
"""


def _way(port: int = 8620, host: str = "127.0.0.1") -> Way:
    return Way("listen.http", Address(host, port))


def test_all_listeners_whose_port_is_known_are_looked_at() -> None:
    """One on all addresses at one that can be asked, an open account's without asking for a key."""
    ways = list(ways_of(parse_config(CONFIG), ("alice", "bob")))
    assert [(way.key, str(way.origin), way.asks_key) for way in ways] == [
        ("listen.http", "http://127.0.0.1:8620", True),
        ("listen.https", "https://127.0.0.1:8621", True),
        ("accounts.alice.listen", "http://127.0.0.1:8630", False),
    ]


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        (0, []),
        (errno.EADDRINUSE, ["port-taken"]),
        (errno.EACCES, ["port-privileged"]),
        (errno.EADDRNOTAVAIL, ["address-not-here"]),
        (errno.ENOBUFS, ["port-unusable"]),
    ],
)
def test_what_stands_against_listening_is_told(number: int, codes: list[str]) -> None:
    """With the key to change."""
    findings = judge_binding(_way(80), number)
    assert [finding.code for finding in findings] == codes
    assert all("listen.http" in finding.mend and finding.level is Level.ERROR for finding in findings)


@pytest.mark.parametrize("host", ["192.0.2.1", "no..name", "x" * 64])
async def test_an_address_of_another_machine_cannot_be_listened_on(host: str) -> None:
    """Nor can one that is none."""
    (finding,) = await look_at_address(_way(free_port(), host), running=False)
    assert finding.code == "address-not-here"


async def test_a_port_that_is_free_is_fine_and_stays_free() -> None:
    """Looking at it takes nothing."""
    port = free_port()
    assert await look_at_address(_way(port), running=False) == []
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", port)
    server.close()


async def test_a_program_that_does_not_answer_is_left() -> None:
    """After the time of the requests."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: taken.append(writer), "127.0.0.1", 0)
    async with server, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.01)) as http:
        with pytest.raises(TimeoutError):
            await knock(http, _way(server.sockets[0].getsockname()[1]))
    for writer in taken:
        writer.transport.abort()


async def test_a_program_that_answers_with_anything_is_another_one() -> None:
    """Though it knows how to write a problem, or sends one without end."""
    async with aiohttp.ClientSession() as http:
        for body in (b'{"type": "about:blank"}', b"[" * 100_000, b"\xff", b'{"type": 1}'):
            async with Scripted({"/.well-known/jmap": (401, body, {})}) as server:
                way = _way(int(server.origin.rpartition(":")[2]))
                (finding,) = judge_knocks(way, await knock(http, way))
                assert finding.code == "port-taken"


def test_a_door_that_asks_nobody_for_a_key_need_not() -> None:
    """As that of an open account, or the admin listener."""
    way = Way("listen.admin", Address("127.0.0.1", 8622), asks_key=False)
    (finding,) = judge_knocks(way, Knocked("host-refused", "origin-refused", ""))
    assert finding.level is Level.OK


async def test_no_secret_is_sent_to_whoever_listens() -> None:
    """Three requests, none with credentials or cookies."""
    async with Scripted() as server, aiohttp.ClientSession() as http:
        await knock(http, _way(int(server.origin.rpartition(":")[2])))
    assert len(server.headers) == 3
    assert not any({"Authorization", "Cookie"} & set(headers) for headers in server.headers)

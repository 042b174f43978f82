from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest

from tests.support.dns_server import SILENCE, DnsServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JMAP = "_jmap._tcp.example.com"


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    """A server that knows where the mail of example.com is."""
    async with DnsServer() as server:
        server.add(JMAP, "SRV", "0 1 443 jmap.example.com.")
        yield server


def resolver(server: DnsServer, *, lifetime: float = 5) -> dns.asyncresolver.Resolver:
    """One that asks this server and nobody else."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], server.port, lifetime
    return resolver


async def test_records_are_found(server: DnsServer) -> None:
    """As they were added, in any case of letters; and the question is kept."""
    answer = await resolver(server).resolve("_JMAP._tcp.Example.com", "SRV")
    assert [record.to_text() for record in answer] == ["0 1 443 jmap.example.com."]
    assert [(name.lower(), kind) for name, kind in server.queries] == [(f"{JMAP}.", "SRV")]


async def test_many_records_come_in_one_answer(server: DnsServer) -> None:
    """With their priorities and weights, beyond 512 octets too."""
    server.add(JMAP, "SRV", *(f"{n // 10} {n} 443 host-{n}.a-rather-long-name.example.com." for n in range(40)))
    answer = await resolver(server).resolve(JMAP, "SRV")
    assert len({(record.priority, record.weight, record.target) for record in answer}) == 41


async def test_what_is_not_there_is_said(server: DnsServer) -> None:
    """No such name, or no such record there."""
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver(server).resolve("_jmap._tcp.example.org", "SRV")
    with pytest.raises(dns.resolver.NoAnswer):
        await resolver(server).resolve(JMAP, "TXT")


@pytest.mark.parametrize("name", [JMAP, "*"])
@pytest.mark.parametrize("trouble", ["SERVFAIL", "REFUSED"])
async def test_a_name_can_be_in_trouble(server: DnsServer, name: str, trouble: str) -> None:
    """Then the resolver finds no server that answers."""
    server.trouble[name] = trouble
    with pytest.raises(dns.resolver.NoNameservers, match=trouble):
        await resolver(server).resolve(JMAP, "SRV")


async def test_a_server_can_be_silent(server: DnsServer) -> None:
    """The question arrives, and nothing comes back."""
    server.trouble[JMAP] = SILENCE
    with pytest.raises(dns.exception.Timeout):
        await resolver(server, lifetime=0.05).resolve(JMAP, "SRV")
    assert server.queries


async def test_a_server_can_be_slow(server: DnsServer) -> None:
    """The answer comes when the test lets it."""
    server.hold = asyncio.Event()
    pending = asyncio.create_task(resolver(server).resolve(JMAP, "SRV"))
    await server.asked()
    assert not pending.done()
    server.hold.set()
    assert len(await pending) == 1


async def test_it_ends_with_answers_pending() -> None:
    """A question that is held does not keep it from ending."""
    async with DnsServer(hold=asyncio.Event()) as server:
        pending = asyncio.create_task(resolver(server, lifetime=0.05).resolve(JMAP, "SRV"))
        await server.asked()
    with pytest.raises(dns.exception.Timeout):
        await pending

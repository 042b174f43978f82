from __future__ import annotations

from typing import TYPE_CHECKING

import dns.asyncresolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.autodiscovery.srv import Service, in_order, none_offered, services, system_resolver, usable
from jmap_proxy.errors import DiscoveryError
from tests.support.dns_server import SILENCE, DnsServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "_jmap._tcp.example.com"
SERVICES = st.lists(
    st.builds(Service, st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3)), max_size=8
)


@pytest.fixture
async def names() -> AsyncIterator[DnsServer]:
    """A name server."""
    async with DnsServer() as server:
        yield server


def resolver(names: DnsServer) -> dns.asyncresolver.Resolver:
    """What asks that server, and gives up soon."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], names.port, 0.3
    return resolver


async def test_records_are_read(names: DnsServer) -> None:
    """Host names in lower case, without the dot at their end."""
    names.add(NAME, "SRV", "10 5 8443 JMAP.Example.com.", "0 0 443 a.example.")
    found = await services("example.com", resolver(names))
    assert sorted(found, key=lambda service: service.port) == [
        Service("a.example", 443, 0, 0),
        Service("jmap.example.com", 8443, 10, 5),
    ]


async def test_no_name_and_no_record_are_no_trouble(names: DnsServer) -> None:
    """Most domains have none."""
    assert await services("example.com", resolver(names)) == ()
    names.add(NAME, "TXT", '"x"')
    assert await services("example.com", resolver(names)) == ()


@pytest.mark.parametrize(("trouble", "told"), [("SERVFAIL", "usably"), ("REFUSED", "usably"), (SILENCE, "in time")])
async def test_trouble_is_told_and_nothing_guessed(names: DnsServer, trouble: str, told: str) -> None:
    """Else a name server that is kept from answering would send the user to another server."""
    names.trouble["*"] = trouble
    with pytest.raises(DiscoveryError, match=f"do not answer {told} what serves the mail of example.com") as caught:
        await services("example.com", resolver(names))
    assert "--server" in caught.value.hint


def test_the_systems_resolver_has_a_time_limit() -> None:
    """A login does not hang."""
    assert 0 < system_resolver().lifetime <= 10


def test_a_dot_means_no_service() -> None:
    """RFC 2782; no record at all means nothing."""
    assert none_offered([Service("", 0)])
    assert not none_offered([])
    assert not none_offered([Service("", 0), Service("a.example", 1)])


@given(SERVICES, st.integers(0, 30))
def test_all_are_tried_by_priority(found: list[Service], drawn: int) -> None:
    """Each once, lower priorities first, whatever is drawn."""
    ordered = in_order(found, lambda most: min(drawn, most))
    assert sorted(ordered, key=repr) == sorted(found, key=repr)
    assert [service.priority for service in ordered] == sorted(service.priority for service in found)


def test_weights_are_shares() -> None:
    """Of 0 to 4 drawn, weight 3 has three numbers, weight 1 one and weight 0 the zero."""
    found = [Service("three", 1, 0, 3), Service("none", 1, 0, 0), Service("one", 1, 0, 1)]

    def first_of(drawn: int) -> str:
        return in_order(found, lambda most: min(drawn, most))[0].host

    first = [first_of(drawn) for drawn in range(5)]
    assert first == ["none", "one", "three", "three", "three"]


@pytest.mark.parametrize(
    ("host", "port", "can"),
    [
        ("mail.example.com", 443, True),
        ("mail.example.com", 0, False),
        ("_x.example.com", 443, False),
        ("a\\032b.example.com", 443, False),
        ("evil.example/x?", 443, False),
        ("user@evil.example", 443, False),
        ("", 443, False),
    ],
)
def test_what_is_no_host_and_port_is_not_asked(host: str, port: int, *, can: bool) -> None:
    """DNS can hold anything as a name; none of it may become another part of a URL."""
    assert usable(Service(host, port)) == can

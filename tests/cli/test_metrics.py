"""The metrics of a running proxy, as a scraper gets them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from jmap_proxy.cli.running import running_proxy
from jmap_proxy.sandbox import Fault
from jmap_proxy.status.traffic import OUTCOMES
from tests.support.world import basic

if TYPE_CHECKING:
    from tests.support.world import World

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
GROWING = ("_total", "_bucket", "_count", "_sum")


async def scrape(client: ClientSession, admin: str) -> Samples:
    """All samples, by name and labels."""
    async with client.get(f"{admin}/metrics") as response:
        text = await response.text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """Of the sample with these labels."""
    return samples[f"jmap_proxy_{name}", frozenset(labels.items())]


async def test_counters_only_grow_while_requests_come_in(world: World) -> None:
    """Scrape after scrape under load; in the end each request has been counted once."""
    key = (await world.sign_in()).local_key
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:

        async def ask(number: int) -> None:
            fields = basic(key if number % 4 else "wrong")
            async with client.get(f"{addresses.http}/.well-known/jmap", headers=fields) as response:
                assert response.status == (200 if number % 4 else 401)

        before = await scrape(client, addresses.admin)
        load = asyncio.gather(*map(ask, range(200)))
        while not load.done():
            after = await scrape(client, addresses.admin)
            assert before.keys() <= after.keys()
            for each, old in before.items():
                if each[0].endswith(GROWING):
                    assert after[each] >= old
            before = after
        await load
        end = await scrape(client, addresses.admin)
    assert value(end, "requests_total", kind="session", status="200") == 150
    assert value(end, "requests_total", kind="other", status="401") == 50
    assert value(end, "first_byte_seconds_count", kind="session") == 150


@pytest.mark.parametrize(("status", "outcome"), [(0, "refreshed"), (429, "transient"), (500, "answer_lost")])
async def test_refreshes_are_counted_by_outcome(world: World, status: int, outcome: str) -> None:
    """What the provider has answered; nothing is counted where the token is fresh."""
    key = (await world.sign_in()).local_key
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        assert await _refreshes(client, addresses.admin) == {}
    await world.age(4000)
    if status:
        world.idp.faults.add("token", Fault(status=status))
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        async with client.get(f"{addresses.http}/.well-known/jmap", headers=basic(key)) as response:
            assert response.status == (503 if status else 200)
        assert await _refreshes(client, addresses.admin) == {outcome: 1}


async def _refreshes(client: ClientSession, admin: str) -> dict[str, float]:
    """Those that there were, by outcome."""
    samples = await scrape(client, admin)
    named = {
        dict(labels)["outcome"]: n for (name, labels), n in samples.items() if name == "jmap_proxy_refreshes_total"
    }
    assert named.keys() == set(OUTCOMES)
    return {outcome: n for outcome, n in named.items() if n}

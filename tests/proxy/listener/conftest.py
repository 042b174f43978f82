"""A listener on loopback, and a proxy whose calls' ways are noted."""

from collections.abc import AsyncIterator

import pytest

from tests.proxy.listener.hosting import Host, hosting
from tests.proxy.listener.ways import Caller, Place, placed


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """Give a listener with places enough."""
    async with hosting() as place:
        yield place


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Give a proxy, and note which way each call goes."""
    async with placed(patience=5) as place:
        yield place


@pytest.fixture
async def caller(place: Place) -> Caller:
    """Return a client whose next call can go fast."""
    caller = await place.connect()
    await caller.in_step()
    place.ways.clear()
    return caller

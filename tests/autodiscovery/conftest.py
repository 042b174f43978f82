"""What the tests of autodiscovery share: a finder whose name server can be chosen, and servers that answer as told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.proxy.upstream.pool import upstream_session
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections as the commands make them."""
    async with upstream_session() as session:
        yield session


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    """A server that answers as it is told."""
    async with Scripted() as scripted:
        yield scripted

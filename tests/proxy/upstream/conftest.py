"""Both ways to send a request."""

from collections.abc import AsyncIterator

import pytest

from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.proxy.upstream.sender import Sender


@pytest.fixture(params=[True, False], ids=["short", "ordinary"])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    """Give a sender of each kind."""
    async with upstream_session() as http:
        yield Sender(http, short=request.param)

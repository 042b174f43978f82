"""What the OAuth tests share: an HTTP session like the program's own, and a public client of the sandbox provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.oauth.http import provider_session
from tests.oauth.helpers import Parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.support.clock import Clock


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """Give a session without cookies, as the composition root makes it."""
    async with provider_session() as session:
        yield session


@pytest.fixture
def parts(session: ClientSession, clock: Clock, idp: IdentityProvider) -> Parts:
    """Return a public client of that provider."""
    return Parts(session, clock, idp.issuer)

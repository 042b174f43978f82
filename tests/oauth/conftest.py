"""What the OAuth tests share: a hand-set clock, the sandbox provider and an HTTP session like the program's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, DummyCookieJar

from jmap_proxy.sandbox import IdentityProvider
from tests.oauth.helpers import Parts
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until it is told otherwise."""
    return Clock()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """Give a session without cookies, as the composition root makes it."""
    async with ClientSession(cookie_jar=DummyCookieJar(), auto_decompress=False) as session:
        yield session


@pytest.fixture
async def idp(clock: Clock) -> AsyncIterator[IdentityProvider]:
    """Give an identity provider that is serving."""
    async with IdentityProvider(clock=clock) as provider:
        yield provider


@pytest.fixture
def parts(session: ClientSession, clock: Clock, idp: IdentityProvider) -> Parts:
    """Return a public client of that provider."""
    return Parts(session, clock, idp.issuer)

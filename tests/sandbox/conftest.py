"""What the sandbox's tests share: the mail server, a client without cookies, and a person who signs in by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, DummyCookieJar

from jmap_proxy.sandbox import IdentityProvider, MailServer
from tests.sandbox.helpers import Person

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    """A client that follows no advice but the test's."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session


@pytest.fixture
def person(idp: IdentityProvider, http: ClientSession) -> Person:
    """An OAuth client at that provider, driven by hand."""
    return Person(idp, http)


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """A mail server that takes the token `good`, which is the demo user's."""
    async with MailServer({"good": "demo"}.get) as server:
        yield server

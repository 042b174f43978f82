"""What the command line's tests share: an HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, DummyCookieJar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """Give a mail client's HTTP."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session

"""What the command line's tests share: an HTTP client, and logging as it was."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from aiohttp import ClientSession, DummyCookieJar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """Give a mail client's HTTP."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command that ran in this process did to the logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()

"""What the command line's tests share: the world outside, an HTTP client, and logging as it was."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from aiohttp import ClientSession, DummyCookieJar

from tests.support.world import World, world_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a provider, a mail server and a configuration for both."""
    async with world_in(tmp_path) as world:
        yield world


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

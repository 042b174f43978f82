"""A world in which the account is signed in, and its local key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.world import World, world_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A provider whose tokens live an hour, a mail server that takes them only, and a configuration for both."""
    async with world_in(tmp_path) as world:
        yield world


@pytest.fixture
async def key(world: World) -> str:
    """The local key, after a sign-in."""
    return (await world.sign_in()).local_key

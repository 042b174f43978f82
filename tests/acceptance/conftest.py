"""The local key of a world in which the account is signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.world import World


@pytest.fixture
async def key(world: World) -> str:
    """The local key, after a sign-in."""
    return (await world.sign_in()).local_key

"""What tests of several rooms share: a hand-set clock, the sandbox provider, the world that the program works in."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

from jmap_proxy.sandbox import IdentityProvider
from tests.support.clock import Clock
from tests.support.world import World, world_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# No deadline: a busy machine is not a wrong answer. No database: the tests leave nothing in the checkout.
settings.register_profile("jmap-proxy", deadline=None, database=None)
settings.register_profile("fuzz", deadline=None, database=None, max_examples=int(os.environ.get("EXAMPLES", "20000")))
settings.load_profile("jmap-proxy")


# A shell that runs the tests in the background lets them ignore these, and with them all programs that they start.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is told otherwise."""
    return Clock()


@pytest.fixture
async def idp(clock: Clock) -> AsyncIterator[IdentityProvider]:
    """An identity provider that is serving."""
    async with IdentityProvider(clock=clock) as provider:
        yield provider


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A provider whose tokens live an hour, a mail server that takes them only, and a configuration for both."""
    async with world_in(tmp_path) as world:
        yield world


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a command that ran in this process did to the logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()

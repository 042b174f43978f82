"""A provider, a mail server, and the program signed in with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox import IdentityProvider, MailServer
from tests.acceptance.program import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    """A provider whose tokens live an hour."""
    async with IdentityProvider() as provider:
        yield provider


@pytest.fixture
async def mail(provider: IdentityProvider) -> AsyncIterator[MailServer]:
    """A mail server that takes the provider's tokens only."""
    async with MailServer(provider.check) as mail:
        yield mail


@pytest.fixture
async def program(tmp_path: Path, provider: IdentityProvider, mail: MailServer) -> Program:
    """The program, signed in."""
    program = Program(tmp_path)
    program.configure(mail, provider)
    await program.login()
    return program

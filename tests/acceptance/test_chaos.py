"""Whatever goes wrong around a refresh: what the client sees, and that no sign-in is lost that could be kept."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.errors import SignInNeeded
from jmap_proxy.sandbox import ProviderSettings
from tests.acceptance.troubles import GONE, SERVED, TROUBLES, Trouble
from tests.support.chain import Chain, signed_in_chain
from tests.support.clock import Clock

DOCS = Path(__file__).parents[2] / "docs" / "token-life.md"
LIFE = 7200.0

CLIENT_PATIENCE = aiohttp.ClientTimeout(total=5.0)
"""After so long mail clients give up (measured: mujmap, himalaya)."""


async def seen_by_client(chain: Chain) -> str:
    """What a client gets for an API call: the status, Retry-After if there is one, the error's code.

    One that waits too long raises TimeoutError.
    """
    call: dict[str, list[str]] = {"using": [], "methodCalls": []}
    async with chain.client.post(chain.api, json=call, timeout=CLIENT_PATIENCE) as response:
        told = await response.json(content_type=None)
        if response.status == 200:
            return SERVED
        again = " + Retry-After" if "Retry-After" in response.headers else ""
        return f"{response.status}{again} ({told['type'].removeprefix('urn:jmap-proxy:error:')})"


async def seen_in_the_end(chain: Chain) -> str:
    """What a client gets when the answers that were held back have come."""
    for _ in range(100):
        if "Retry-After" not in (seen := await seen_by_client(chain)):
            return seen
        chain.clock.now += 60
    return "503 for ever"


async def is_signed_in(chain: Chain) -> bool:
    """Whether a program that starts now with what is on disk can get a new token."""
    chain.clock.now += 40 * 86400
    async with Assembly(chain.config, chain.state, chain.clock) as assembly:
        refresher = await assembly.refresher("alice")
        try:
            await refresher.ensure_valid_token()
        except SignInNeeded:
            return False
        return True


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
async def test_trouble(trouble: Trouble, tmp_path: Path) -> None:
    """As the table says: while the token lives, after it, and whether the sign-in is still there when it is over."""
    settings = ProviderSettings(access_token_life=LIFE, **dict(trouble.provider))
    with capture_logs():  # on a full disk there is no room for them either
        await live_through(trouble, tmp_path, settings)


async def live_through(trouble: Trouble, folder: Path, settings: ProviderSettings) -> None:
    """See what the table says."""
    async with signed_in_chain(folder, Clock(), settings, **dict(trouble.account)) as chain:
        chain.clock.now += LIFE - 30
        if (beginning := trouble.begin(chain)) is not None:
            await beginning
        try:
            assert [await seen_by_client(chain) for _ in range(3)] == [trouble.alive] * 3
            chain.clock.now += LIFE + 1
            assert [await seen_by_client(chain) for _ in range(3)] == [trouble.expired] * 3
        finally:
            trouble.end(chain)
        chain.clock.now += 3601
        assert await seen_in_the_end(chain) == (SERVED if trouble.kept else GONE)
        await chain.stop_proxy()
        assert len(chain.provider.token_requests) < 20
        assert await is_signed_in(chain) is trouble.kept


def row(trouble: Trouble) -> str:
    """A trouble's row of the table."""
    return f"| {trouble.name} | {trouble.alive} | {trouble.expired} | {'kept' if trouble.kept else 'lost'} |"


def test_the_docs_tell_the_same() -> None:
    """The table of docs/token-life.md has these rows and no others."""
    rows = [line for line in DOCS.read_text().splitlines() if line.endswith(("| kept |", "| lost |"))]
    assert rows == [row(trouble) for trouble in TROUBLES]
    assert len(rows) >= 30

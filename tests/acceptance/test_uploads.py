"""Large uploads survive a token that is revoked while they are under way, measured on the real process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.program import Program
    from tests.support.world import World

SIZE = 150_000_000
ALLOWED_GROWTH = 32 << 20
PIECE = bytes(range(251)) * 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")


async def pieces() -> AsyncIterator[bytes]:
    """The upload; its pattern fits into no buffer evenly, so that a piece out of place shows."""
    for start in range(0, SIZE, len(PIECE)):
        yield PIECE[: SIZE - start]


def digest() -> str:
    """SHA-256 of the upload."""
    whole = hashlib.sha256()
    for start in range(0, SIZE, len(PIECE)):
        whole.update(PIECE[: SIZE - start])
    return whole.hexdigest()


def open_files(program: Program) -> list[str]:
    """The files that a program has open, by the kernel's names."""
    found = []
    for descriptor in Path(f"/proc/{program.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(descriptor.readlink()))
    return found


async def upload_url(client: aiohttp.ClientSession, origin: str) -> str:
    """Where to upload, after a small upload as a warm-up."""
    async with client.get(f"{origin}/.well-known/jmap") as response:
        url: str = (await response.json())["uploadUrl"].replace("{accountId}", "u-demo")
    async with client.post(url, data=b"small") as response:
        assert response.status == 201
    return url


@pytest.mark.parametrize(
    ("taken", "declared"), [(SIZE // 2, True), (SIZE, False)], ids=["half-way, with length", "at the end, chunked"]
)
async def test_an_upload_of_150_mb_whose_token_is_revoked_arrives_whole(
    world: World, key: str, *, taken: int, declared: bool
) -> None:
    """One retry, one refresh, every byte once, kept in the state folder, and memory grows by less than 32 MiB."""
    program, origin = await world.serve()
    headers = {"Content-Length": str(SIZE)} if declared else {}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
        url = await upload_url(client, origin)
        before = program.memory("VmRSS")
        fault = world.mail.faults.add("upload", Fault(take=taken, hold=asyncio.Event()))
        upload = asyncio.create_task(client.post(url, data=pieces(), headers=headers))
        await fault.took.wait()
        assert [name for name in open_files(program) if name.startswith(str(world.state))]
        world.idp.revoke_access_tokens()
        assert fault.hold is not None
        fault.hold.set()
        async with await upload as response:
            assert response.status == 201
            blob = await response.json()
        assert program.memory("VmHWM") - before < ALLOWED_GROWTH
    assert world.mail.uploads[blob["blobId"]] == (SIZE, digest())
    assert [request.status for request in world.mail.requests if request.method == "POST"] == [201, 401, 201]
    refreshes = [request for request in world.idp.token_requests if request.grant_type == "refresh_token"]
    assert [request.outcome for request in refreshes] == ["ok"]

"""Large bodies pass in flat memory, measured on the real process."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.world import World

SIZE = 200_000_000
ALLOWED_GROWTH = 32 << 20
PIECE = bytes(range(256)) * 1024

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")


async def pieces(size: int) -> AsyncIterator[bytes]:
    """`size` bytes in pieces of 256 KiB."""
    for start in range(0, size, len(PIECE)):
        yield PIECE[: size - start]


async def endpoints(client: aiohttp.ClientSession, origin: str) -> tuple[str, str]:
    """The local upload and download URL templates, after a small exchange of each kind as a warm-up."""
    async with client.get(f"{origin}/.well-known/jmap") as response:
        session = await response.json()
    upload = session["uploadUrl"].replace("{accountId}", "u-demo")
    async with client.post(upload, data=b"small") as response:
        assert response.status == 201
    return upload, session["downloadUrl"].replace("{accountId}", "u-demo").replace("{name}", "x")


async def test_a_download_of_200_mb_passes_in_flat_memory(world: World, key: str) -> None:
    """The proxy's memory grows by less than 32 MiB while 200 MB come down."""
    program, origin = await world.serve()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
        _, download = await endpoints(client, origin)
        before = program.memory("VmRSS")
        received = 0
        url = download.replace("{blobId}", f"big-{SIZE}").replace("{type}", "application/octet-stream")
        async with client.get(url) as response:
            assert response.content_length == SIZE
            async for chunk in response.content.iter_any():
                received += len(chunk)
        assert received == SIZE
        assert program.memory("VmHWM") - before < ALLOWED_GROWTH


@pytest.mark.parametrize("declared", [True, False], ids=["with-length", "chunked"])
async def test_an_upload_of_200_mb_passes_in_flat_memory(world: World, key: str, *, declared: bool) -> None:
    """The proxy's memory grows by less than 32 MiB while 200 MB go up, and they arrive whole."""
    headers = {"Content-Length": str(SIZE)} if declared else {}
    program, origin = await world.serve()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
        upload, _ = await endpoints(client, origin)
        before = program.memory("VmRSS")
        async with client.post(upload, data=pieces(SIZE), headers=headers) as response:
            assert response.status == 201
            blob = await response.json()
        assert program.memory("VmHWM") - before < ALLOWED_GROWTH
    digest = hashlib.sha256()
    async for piece in pieces(SIZE):
        digest.update(piece)
    assert world.mail.uploads[blob["blobId"]] == (SIZE, digest.hexdigest())

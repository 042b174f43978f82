from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox.blobs import KEPT_BYTES, Blobs, TooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield the chunks."""
    for chunk in chunks:
        yield chunk


async def test_a_large_blob_leaves_only_size_and_digest() -> None:
    """One octet more than what is kept: size and digest are known, the bytes are not."""
    blobs = Blobs()
    blob_id, size = await blobs.put(pieces(bytes(KEPT_BYTES), b"x"), KEPT_BYTES + 1)
    assert size == KEPT_BYTES + 1
    assert blobs.uploads[blob_id] == (size, hashlib.sha256(bytes(KEPT_BYTES) + b"x").hexdigest())
    assert blobs.get(blob_id, 0) is None


async def test_a_blob_beyond_the_limit_is_not_stored() -> None:
    """An upload that turns out too large leaves nothing behind."""
    blobs = Blobs()
    with pytest.raises(TooLargeError):
        await blobs.put(pieces(b"12", b"34"), 3)
    assert blobs.uploads == {}


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 1_000_000])
def test_a_synthetic_blob_has_the_octets_it_promises(size: int) -> None:
    """`big-SIZE` has SIZE octets, the one at offset n being n mod 256."""
    found = Blobs().get(f"big-{size}", 0)
    assert found is not None
    promised, chunks = found
    assert promised == size
    assert b"".join(chunks) == bytes(n % 256 for n in range(size))

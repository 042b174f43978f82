"""The blob store: uploads, messages and synthetic blobs of any size, all in flat memory. No HTTP."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from jmap_proxy.sandbox.messages import messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator

KEPT_BYTES = 8 * 1024 * 1024
"""Octets up to which an uploaded blob's bytes are kept; of larger ones only size and digest remain."""
_PATTERN = bytes(range(256)) * 1024
_SYNTHETIC = re.compile(r"big-(\d{1,15})")
_MESSAGE = re.compile(r"msg-(\d{1,9})")


class TooLargeError(Exception):
    """An upload beyond the limit."""


class Blobs:
    """The blobs of one mail server.

    Attributes:
        uploads: Every upload's size in octets and SHA-256 in hexadecimal, by blob id.
    """

    def __init__(self) -> None:
        self.uploads: dict[str, tuple[int, str]] = {}
        self._kept: dict[str, bytes] = {}

    async def put(self, chunks: AsyncIterable[bytes], limit: int) -> tuple[str, int]:
        """Take in a blob.

        Args:
            chunks: Its bytes.
            limit: Octets that it may have.

        Returns:
            The blob id, which depends on nothing but the bytes, and the size in octets.

        Raises:
            TooLargeError: It has more than `limit` octets; nothing is stored.
        """
        digest, size, kept = hashlib.sha256(), 0, bytearray()
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLargeError
            digest.update(chunk)
            if size <= KEPT_BYTES:
                kept += chunk
        blob_id = f"b-{digest.hexdigest()[:32]}"
        self.uploads[blob_id] = (size, digest.hexdigest())
        if size <= KEPT_BYTES:
            self._kept[blob_id] = bytes(kept)
        return blob_id, size

    def get(self, blob_id: str, message_count: int) -> tuple[int, Iterator[bytes]] | None:
        """A blob's size in octets and its bytes in pieces, None if there is no such blob.

        Args:
            blob_id: An upload's id, a message's, or `big-SIZE`: SIZE octets, the one at offset n being
                n mod 256.
            message_count: How many messages there are.
        """
        synthetic = _SYNTHETIC.fullmatch(blob_id)
        if synthetic:
            size = int(synthetic[1])
            return size, _repeated(size)
        whole = self._kept.get(blob_id)
        message = _MESSAGE.fullmatch(blob_id)
        if message and int(message[1]) < message_count:
            whole = messages(message_count)[int(message[1])].rfc5322()
        return None if whole is None else (len(whole), iter((whole,)))


def _repeated(size: int) -> Iterator[bytes]:
    for _ in range(size // len(_PATTERN)):
        yield _PATTERN
    if size % len(_PATTERN):
        yield _PATTERN[: size % len(_PATTERN)]

"""Where a stream of WebSocket frames stands (RFC 6455 §5.2): only their headers are looked at. Pure."""

from __future__ import annotations

CLOSE = 0x8
"""Opcode of a Close frame (RFC 6455 §5.5.1)."""

_OPCODE = 0x0F
_MASKED = 0x80
_LENGTH = 0x7F
_LENGTH_SIZES = {126: 2, 127: 8}
"""Bytes of the extended length, by what stands in the place of the length."""

_SMALLEST_HEAD = 2
_MASK_SIZE = 4


def close_frame(code: int) -> bytes:
    """A server's Close frame with a status code (RFC 6455 §7.4)."""
    return bytes((0x80 | CLOSE, 2)) + code.to_bytes(2)


class FrameCursor:
    """Follows one direction of a WebSocket connection, however its bytes are cut into pieces.

    Attributes:
        closed: Whether a Close frame has begun; nothing may follow it.
    """

    def __init__(self) -> None:
        self.closed = False
        self._head = bytearray()
        self._left = 0

    @property
    def at_boundary(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._head and not self._left

    def advance(self, data: bytes) -> None:
        """Take note of the next bytes."""
        if self._head:
            data = bytes(self._head) + data
            self._head.clear()
        position, end = self._left, len(data)
        while position < end:
            size = _head_size(data, position)
            if position + size > end:
                self._head += data[position:]
                position = end
                break
            self.closed = self.closed or data[position] & _OPCODE == CLOSE
            position += size + _payload_size(data, position)
        self._left = position - end


def _head_size(data: bytes, start: int) -> int:
    """Bytes of the head of the frame that begins at `start`, as far as its first two bytes tell."""
    if start + _SMALLEST_HEAD > len(data):
        return _SMALLEST_HEAD
    second = data[start + 1]
    return _SMALLEST_HEAD + _LENGTH_SIZES.get(second & _LENGTH, 0) + (_MASK_SIZE if second & _MASKED else 0)


def _payload_size(data: bytes, start: int) -> int:
    """Bytes of the payload of the frame that begins at `start`, whose head is whole."""
    length = data[start + 1] & _LENGTH
    if size := _LENGTH_SIZES.get(length):
        return int.from_bytes(data[start + _SMALLEST_HEAD : start + _SMALLEST_HEAD + size])
    return length

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.websocket.frames import CLOSE, FrameCursor, close_frame


def frame(opcode: int, size: int, *, masked: bool = False, final: bool = True) -> bytes:
    """A frame with `size` bytes of payload."""
    first, mask = opcode | (0x80 if final else 0), 0x80 if masked else 0
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 1 << 16:
        head = bytes((first, mask | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, mask | 127)) + size.to_bytes(8)
    return head + bytes(4 if masked else 0) + b"\x88" * size


FRAMES = st.builds(
    frame,
    st.sampled_from([0, 1, 2, 9, 10]),
    st.sampled_from([0, 1, 4, 125, 126, 127, 300, 65_535, 65_536, 70_000]),
    masked=st.booleans(),
    final=st.booleans(),
)


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 100_000)))
def test_only_the_end_of_a_frame_is_a_boundary(frames: list[bytes], pieces: list[int]) -> None:
    """However the stream is cut."""
    stream = b"".join(frames)
    ends = {0, *itertools.accumulate(map(len, frames))}
    cursor, position = FrameCursor(), 0
    for size in [*pieces, len(stream)]:
        cursor.advance(stream[position : position + size])
        position = min(position + size, len(stream))
        assert cursor.at_boundary == (position in ends)
    assert cursor.at_boundary
    assert not cursor.closed


@given(st.lists(FRAMES, max_size=3), st.integers(0, 125))
def test_a_close_frame_is_seen(frames: list[bytes], size: int) -> None:
    """As soon as its head is there, and for good; one inside a payload is none."""
    cursor, seen = FrameCursor(), []
    cursor.advance(b"".join(frames))
    for data in [b"", *(bytes((byte,)) for byte in frame(CLOSE, size)), frame(1, 3)]:
        cursor.advance(data)
        seen.append(cursor.closed)
    assert seen == [False, False, *[True] * (size + 2)]
    assert cursor.at_boundary


@pytest.mark.parametrize("code", [1000, 1001, 4999])
def test_a_close_frame_is_whole(code: int) -> None:
    """Final, unmasked, with the code in two bytes (RFC 6455 §5.5.1)."""
    assert close_frame(code) == b"\x88\x02" + code.to_bytes(2)
    cursor = FrameCursor()
    cursor.advance(close_frame(code))
    assert (cursor.at_boundary, cursor.closed) == (True, True)

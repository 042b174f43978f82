import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.events import LONGEST_EVENT, whole_events


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"data: a\n\ndata: b", b"data: a\n\n"),
        (b"data: a\r\n\r\nid: 1\r\n", b"data: a\r\n\r\n"),
        (b"data: a\r\rdata", b"data: a\r\r"),
        (b"data: a\n\r\ndata", b"data: a\n\r\n"),
        (b"data: a\n", b""),
        (b": ping\n", b": ping\n"),
        (b":\r\n:\r\n", b":\r\n:\r\n"),
        (b": ping\ndata: a\n", b""),
        (b": pin", b""),
        (b"", b""),
    ],
)
def test_events_are_cut_behind_blank_lines(data: bytes, whole: bytes) -> None:
    """An event waits until it is whole; comments that keep the connection alive do not wait."""
    assert data[: whole_events(data)] == whole


def test_what_is_held_back_is_bounded() -> None:
    """An event without end passes on in pieces."""
    data = b"data: " + b"x" * LONGEST_EVENT
    assert whole_events(data) == len(data)


@given(st.lists(st.sampled_from([b"data: a\n", b"\n", b"\r\n", b": c\n", b"x"]), max_size=12))
def test_no_byte_is_lost_or_doubled(pieces: list[bytes]) -> None:
    """However the stream arrives, what is passed on and what is held back are the stream."""
    held = passed = b""
    for piece in pieces:
        seen = len(held)
        held += piece
        cut = whole_events(held, seen)
        assert cut == whole_events(held)  # what was searched before holds no end
        passed, held = passed + held[:cut], held[cut:]
    assert passed + held == b"".join(pieces)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.events.events import (
    LONGEST_COMMENT,
    LONGEST_EVENT,
    Event,
    parse_event,
    split_events,
    whole_events,
)


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


def test_long_comments_wait_for_the_next_event() -> None:
    """Looking at them again with each piece that comes would take ever longer."""
    data = b":" + b"x" * LONGEST_COMMENT + b"\n"
    assert whole_events(data) == 0
    assert whole_events(data + b"data: a\n\n") == len(data) + 9


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (b"event: state\nid: 1\ndata: x\n\n", Event(b"state", b"1", b"x")),
        (b"event:state\r\nid:1\r\ndata:x\r\n\r\n", Event(b"state", b"1", b"x")),
        (b"event: a\revent: b\rdata:  x\rdata\rdata: y\r\r", Event(b"b", None, b" x\n\ny")),
        (b": data: c\nretry: 5\nDATA: x\nid\n\n", Event(b"", b"", None)),
        (b"id: 1\nid: 2\0\ndata\n\n", Event(b"", b"1", b"")),
        (b"\n", Event(b"", None, None)),
    ],
)
def test_an_event_is_read_as_the_standard_says(raw: bytes, event: Event) -> None:
    """WHATWG HTML §9.2.6: three line ends, one space, the last name, the last id without NUL, lines of data joined."""
    assert parse_event(raw) == event


LINES = [b"data: a\n", b"data: b\r\n", b"id: 1\r", b"\n", b"\r\n", b"\r", b": c\n", b"x"]


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_splitting_loses_no_byte(pieces: list[bytes]) -> None:
    """Blank lines stand at the end of each event and nowhere else; what remains has none."""
    block = b"".join(pieces)
    events = list(split_events(block))
    assert b"".join(events) == block
    for event in events[:-1]:
        assert event.splitlines()[-1] == b""
        assert b"" not in event.rstrip(b"\r\n").splitlines()


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

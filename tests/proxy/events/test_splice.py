import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.events.events import LONGEST_EVENT, parse_event, split_events
from jmap_proxy.proxy.events.splice import LONGEST_ID, REMEMBERED, Splice


def state(number: int | None, value: object = None) -> bytes:
    """A `state` event."""
    identity = b"" if number is None else b"id: %d\n" % number
    data = json.dumps({"changed": {"A": {"Email": f"s{number if value is None else value}"}}})
    return b"event: state\n%bdata: %b\n\n" % (identity, data.encode())


def test_what_a_server_tells_again_is_shown_once() -> None:
    """A server that goes further back than it was asked to shows the client nothing twice, and nothing is left out."""
    splice = Splice()
    assert splice.feed(state(1) + state(2)) == state(1) + state(2)
    splice.resume()
    assert splice.feed(state(1) + state(2) + state(3)) == state(3)
    splice.resume()
    assert splice.feed(state(3) + state(4)) == state(4)
    assert splice.last_id == "4"


def test_the_same_state_at_the_beginning_is_no_news() -> None:
    """Of servers that tell the present state to whoever comes, with a new id or none, and keys in any order."""
    splice = Splice()
    splice.feed(b'event: state\ndata: {"a": 1, "b": 2}\n\n')
    splice.resume()
    assert splice.feed(b'event: state\nid: 9\ndata: {"b":2,"a":1}\n\n') == b""
    assert (splice.news, splice.last_id) == (False, "9")
    assert splice.feed(state(10)) == state(10)
    assert (splice.news, splice.last_id) == (True, "10")
    again = b'event: state\ndata: {"a": 1, "b": 2}\n\n'
    assert splice.feed(again) == again


def test_a_server_that_numbers_anew_loses_nothing() -> None:
    """After a restart the same ids can mean other events."""
    splice = Splice()
    splice.feed(state(1, "a") + state(2, "b"))
    splice.resume()
    assert splice.feed(state(1, "c") + state(2, "d")) == state(1, "c") + state(2, "d")


def test_within_one_stream_nothing_is_dropped() -> None:
    """Whatever the server repeats there, it means."""
    splice = Splice()
    twice = state(1) * 2 + state(None) * 2
    assert splice.feed(twice) == twice


def test_events_without_id_that_are_no_states_always_pass() -> None:
    """Nobody can tell whether they are new."""
    splice, other = Splice(), b"event: calendarAlert\ndata: x\n\n"
    assert splice.feed(other) == other
    splice.resume()
    assert splice.feed(other) == other


def test_half_an_event_is_never_shown() -> None:
    """At the break it is forgotten, with the id that it would have set."""
    splice = Splice()
    assert splice.feed(state(1) + b"event: state\nid: 2\nda") == state(1)
    assert splice.last_id == "1"
    splice.resume()
    assert splice.feed(state(2)) == state(2)


def test_a_byte_order_mark_is_left_out_at_the_beginning_of_each_stream() -> None:
    """In the middle of the client's stream it would be part of a field's name; elsewhere it is the event's own."""
    splice = Splice()
    assert b"".join(splice.feed(bytes([byte])) for byte in b"\xef\xbb\xbf" + state(1)) == state(1)
    splice.resume()
    assert splice.feed(b"\xef\xbb") == b""
    inside = b"data: \xef\xbb\xbf\n\n"
    assert splice.feed(b"\xbf" + inside) == inside


@pytest.mark.parametrize(
    ("events", "last"),
    [
        (b"data: x\n\n", None),
        (b"id: 5\ndata: x\n\n", "5"),
        (b"id: 5\n\n", "5"),
        (b"id: 5\ndata: x\n\nid\ndata: y\n\n", ""),
        (b"id: 5\ndata: x\n\nid: 6\0\ndata: y\n\n", "5"),
        (b"id: 5\ndata: x\n\ndata: y\n\n", "5"),
        ("id: ä\ndata: x\n\n".encode(), "ä"),
        (b"id: \xff\ndata: x\n\n", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_last_event_id_is_the_servers(events: bytes, last: str | None) -> None:
    """As WHATWG HTML §9.2.6 has it: events without data set it too, NUL does not, empty resets it."""
    splice = Splice()
    splice.feed(events)
    assert splice.last_id == last


def test_only_a_state_counts_as_one() -> None:
    """A ping does not fulfil `closeafter=state`."""
    splice = Splice()
    splice.feed(b'event: ping\ndata: {"interval":5}\n\ndata: x\n\n')
    assert not splice.stated
    splice.feed(state(1))
    assert splice.stated


@pytest.mark.parametrize(
    ("event", "interval"),
    [
        (b'event: ping\ndata: {"interval": 30}\n\n', 30),
        (b'event: ping\ndata: {"interval": 0.5}\n\n', 0.5),
        (b'event: ping\ndata: {"interval": "30"}\n\n', 0),
        (b'event: ping\ndata: {"interval": true}\n\n', 0),
        (b'event: ping\ndata: {"interval": -1}\n\n', 0),
        (b'event: ping\ndata: {"interval": 0}\n\n', 0),
        (b'event: ping\ndata: {"interval": 1e400}\n\n', 0),
        (b'event: ping\ndata: {"interval": 86400}\n\n', 0),
        (b"event: ping\ndata: [30]\n\n", 0),
        (b"event: ping\ndata: " + b"[" * 100_000 + b"\n\n", 0),
        (b"event: ping\n\n", 0),
    ],
)
def test_only_pings_promise_pings(event: bytes, interval: float) -> None:
    """And only at sensible intervals; a ping is passed on each time, and is no news."""
    splice = Splice()
    splice.feed(b'event: state\nid: 1\ndata: {"interval": 30}\n\n')
    assert splice.interval == 0
    assert splice.feed(event) == event
    assert splice.interval == interval
    splice.resume()
    assert splice.interval == 0
    assert splice.feed(event) == event
    assert not splice.news


def test_an_event_too_long_to_be_held_back_is_shown_in_pieces_and_nothing_joined_on() -> None:
    """The client could not tell its end from the next stream's beginning."""
    splice, endless = Splice(), b"data: " + b"x" * LONGEST_EVENT
    assert splice.feed(endless) == endless
    assert not splice.can_resume
    assert splice.feed(b"y\n\n") == b"y\n\n"
    assert not splice.can_resume


def test_a_long_event_that_is_whole_is_an_event() -> None:
    """It comes in one piece, and others can follow it."""
    splice, long = Splice(), b"data: " + b"x" * LONGEST_EVENT + b"\n\n"
    assert splice.feed(long) == long
    assert splice.can_resume


@pytest.mark.parametrize("identity", ["x" * (LONGEST_ID + 1), "a\x01", "a\x7f"])
def test_an_id_that_no_header_field_holds_cannot_be_resumed_at(identity: str) -> None:
    """The client decides then."""
    splice = Splice()
    splice.feed(f"id: {identity}\ndata: x\n\n".encode())
    assert not splice.can_resume


def test_the_memory_is_bounded() -> None:
    """The latest events are remembered."""
    splice = Splice()
    for number in range(REMEMBERED + 1):
        splice.feed(state(number))
    splice.resume()
    assert splice.feed(state(0)) == state(0)
    assert splice.feed(state(1)) == b""


PINGS_AND_COMMENTS = [b": keep-alive\n", b'event: ping\ndata: {"interval":30}\n\n', b":\n\n", b"retry: 100\n\n"]


@given(
    number=st.integers(1, 12),
    between=st.lists(st.sampled_from([b"", *PINGS_AND_COMMENTS]), min_size=12, max_size=12),
    breaks=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 12)), max_size=5),
    piece=st.integers(1, 40),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_every_event_once_and_in_order(
    number: int, between: list[bytes], breaks: list[tuple[int, int]], piece: int, end: bytes
) -> None:
    """However the streams are cut, wherever they break, however far back the server begins after the last event id."""
    events = [between[index] + state(index + 1) for index in range(number)]
    splice, shown = Splice(), b""

    def stream(back: int, length: int | None) -> bytes:
        begin = max(0, int(splice.last_id or "0") - back)
        return b"".join(events[begin:]).replace(b"\n", end)[:length]

    for length, back in [*breaks, (None, 0)]:
        told = stream(back, length)
        for start in range(0, len(told), piece):
            passed = splice.feed(told[start : start + piece])
            assert not passed or passed.endswith((b"\n", b"\r"))
            shown += passed
        splice.resume()
    told_states = [parse_event(raw) for raw in split_events(shown)]
    assert [event.identity for event in told_states if event.name == b"state"] == [
        b"%d" % (index + 1) for index in range(number)
    ]

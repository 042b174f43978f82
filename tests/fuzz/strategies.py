"""Bytes that are nearly HTTP: the corpora of the tests, changed here and there, and messages out of odd parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = 4096
"""Bytes from which a message is no good start: what it is about is its length."""
_WORDS = rb": , / // %2f %2e .. ? # @ _ 0 1 -1 +2 0x1 18446744073709551616 chunked gzip".split(b" ")
_LINES = b"""Host: evil.example
Content-Length: 3
Transfer-Encoding: chunked
Connection: close
Connection: authorization, host
Upgrade: websocket
Expect: 100-continue
 folded
5
0

GET /smuggled HTTP/1.1
HTTP/1.1 200 OK
HTTP/1.1 100 Continue""".splitlines()
_ENDS = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"\x7f", b"\x80", b"\xff"]
ODD = st.sampled_from([*_ENDS, *_WORDS, *(line + b"\r\n" for line in _LINES)])
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), ODD | st.binary(max_size=4)), min_size=1, max_size=4)
"""Where, as a part of the length; how many bytes go; what comes in their place."""


@st.composite
def changed(draw: st.DrawFn, corpus: Sequence[bytes]) -> bytes:
    """A message of the corpus with changes, or two of them one after the other."""
    data = b"".join(draw(st.lists(st.sampled_from(corpus), min_size=1, max_size=2)))
    for place, removed, put in draw(CHANGES):
        at = int(place * len(data))
        data = data[:at] + put + data[at + removed :]
    return data


@st.composite
def messages(
    draw: st.DrawFn, lines: Sequence[bytes], always: Sequence[bytes], fields: Sequence[bytes], bodies: Sequence[bytes]
) -> bytes:
    """A message out of known parts, with an odd one sometimes; most have the fields of `always`."""
    usual = always if draw(st.integers(0, 9)) else []
    head = [draw(st.sampled_from(lines)), *usual, *draw(st.lists(st.sampled_from(fields), max_size=4))]
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(head) - 1))
        head[at] += draw(ODD)
    return b"\r\n".join([*head, b"", draw(st.sampled_from(bodies))])

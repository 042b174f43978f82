import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from jmap_proxy.errors import (
    CodingRefused,
    ExpectationRefused,
    Refused,
    RequestMalformed,
    UpstreamMalformed,
    VersionRefused,
)
from jmap_proxy.proxy.wire.framing import check_answer, check_framing, has_control, is_last, is_utf8


@pytest.mark.parametrize(
    ("method", "version", "headers", "error"),
    [
        ("CONNECT", (1, 1), {}, RequestMalformed),
        ("GET", (0, 9), {}, VersionRefused),
        ("GET", (2, 0), {}, VersionRefused),
        ("GET", (1, 1), {"Transfer-Encoding": "gzip, chunked"}, CodingRefused),
        ("GET", (1, 0), {"Transfer-Encoding": "chunked"}, RequestMalformed),
        ("GET", (1, 1), {"Expect": "x"}, ExpectationRefused),
        ("GET", (1, 1), {"X": "\udce9"}, RequestMalformed),
    ],
)
def test_what_is_refused(method: str, version: tuple[int, int], headers: dict[str, str], error: type[Refused]) -> None:
    """Each by its own error."""
    with pytest.raises(error):
        check_framing(method, version, CIMultiDict(headers))


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ((1, 1), {"Transfer-Encoding": "Chunked", "Expect": "100-Continue"}),
        ((1, 0), {"Expect": "x"}),  # RFC 9110 §10.1.1: HTTP/1.0 has no Expect
        ((1, 1), {"X": "é\t€"}),
    ],
)
def test_what_is_let_pass(version: tuple[int, int], headers: dict[str, str]) -> None:
    """Names of codings and expectations in any case; UTF-8."""
    check_framing("POST", version, CIMultiDict(headers))


@pytest.mark.parametrize(
    ("version", "status", "reason", "headers"),
    [
        ((2, 0), 200, "OK", {}),
        ((1, 1), 600, "", {}),
        ((1, 1), 200, "O\x01K", {}),
        ((1, 1), 200, "OK", {"X": "a\x7f"}),
        ((1, 1), 200, "OK", {"Transfer-Encoding": "gzip, chunked"}),
        ((1, 1), 200, "OK", {"Transfer-Encoding": ""}),
    ],
)
def test_answers_that_are_refused(version: tuple[int, int], status: int, reason: str, headers: dict[str, str]) -> None:
    """The client gets 502 for them."""
    with pytest.raises(UpstreamMalformed):
        check_answer(version, status, reason, CIMultiDict(headers))


def test_two_codings_are_refused() -> None:
    """Also if both are chunked."""
    fields = CIMultiDict([("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")])
    with pytest.raises(UpstreamMalformed):
        check_answer((1, 1), 200, "OK", fields)


def test_answers_that_are_let_pass() -> None:
    """Tabs, UTF-8, and bytes that are not: they are passed on as they are."""
    check_answer((1, 1), 599, "caf\udce9", CIMultiDict({"Transfer-Encoding": "Chunked", "X": "a\té\udce9"}))


def test_what_ends_a_connection() -> None:
    """An upgrade and a chunked body; nothing else."""
    assert is_last(CIMultiDict({"upgrade": "h2c"}))
    assert is_last(CIMultiDict({"transfer-encoding": "chunked"}))
    assert not is_last(CIMultiDict({"Content-Length": "1"}))


@given(st.binary())
def test_utf8_is_told_from_other_bytes(data: bytes) -> None:
    """As a strict decoder tells it."""
    try:
        expected = bool(data.decode() + "x")
    except UnicodeDecodeError:
        expected = False
    assert is_utf8(data.decode("utf-8", "surrogateescape")) == expected


@given(st.lists(st.text()))
def test_control_characters_are_seen_wherever_they_are(texts: list[str]) -> None:
    """All of ASCII's besides the tab, and only those."""
    assert has_control(texts) == any(
        character != "\t" and (character < " " or character == "\x7f") for text in texts for character in text
    )

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.oauth.fields import json_object, printable


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"3", b"<html>", b"\xff", b"[" * 10**5])
def test_what_is_no_object_has_no_members(body: bytes) -> None:
    """Whatever a firewall answers."""
    assert json_object(body) == {}


@given(st.binary())
def test_no_bytes_are_an_error(body: bytes) -> None:
    """An answer is never a reason to fall over."""
    assert isinstance(json_object(body), dict)


@pytest.mark.parametrize("value", [None, 3, ["a"], "é", "a\nb", "\ud800", "a\x1b[2J"])
def test_what_is_not_printable_is_nothing(value: object) -> None:
    """Only printable ASCII counts."""
    assert printable(value) == ""
    assert printable("a b") == "a b"

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tokens.datakey import DataKey, format_keys, parse_keys


@given(st.lists(st.binary(min_size=32, max_size=32).map(DataKey), min_size=1, max_size=4))
def test_what_is_written_is_read(keys: list[DataKey]) -> None:
    """All keys in their order."""
    assert parse_keys(format_keys(keys)) == tuple(keys)


@pytest.mark.parametrize("text", [b"", b"no base64!", b"\xff", base64.b64encode(b"short"), b"A" * 44 + b" x"])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    """Nothing is guessed at, not even beside a good key."""
    with pytest.raises(ValueError, match="not a data key"):
        parse_keys(text)


def test_a_key_shows_its_name_only() -> None:
    """Neither repr nor key id tells the key; the id tells two keys apart."""
    key = DataKey(b"0123456789abcdef" * 2)
    assert "0123" not in repr(key)
    assert key.key_id != DataKey.new().key_id
    assert len(key.key_id) == 16

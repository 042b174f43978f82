from typing import Any

import msgspec
import pytest

from jmap_proxy.errors import ConfigError
from jmap_proxy.strict_toml import convert, toml_key


class Door(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section."""

    width: int
    names: tuple[str, ...] = ()


class House(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document."""

    door: Door


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"door": {"width": 1, "wdth": 2}}, "there is no key door.wdth"),
        ({"door": {"width": 1}, "dor": 1}, "there is no key dor"),
        ({"door": {}}, "door.width is missing"),
        ({}, "door is missing"),
        ({"door": {"width": "1"}}, "door.width: Expected `int`, got `str`"),
        ({"door": {"width": 1, "names": ["a", 1]}}, "door.names[1]: Expected `str`, got `int`"),
        ({"door": 1}, "door: Expected `object`, got `int`"),
        (1, "Expected `object`, got `int`"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(raw: Any, told: str) -> None:
    """In our words where they are better than the library's."""
    with pytest.raises(ConfigError) as caught:
        convert(raw, House)
    assert caught.value.detail == told
    assert caught.value.hint == "config/config.toml describes every key"


def test_a_section_alone_has_its_name_in_front() -> None:
    """As its keys have."""
    with pytest.raises(ConfigError, match=r"^there is no key accounts\.alice\.tokn$"):
        convert({"width": 1, "tokn": 1}, Door, "accounts.alice")
    with pytest.raises(ConfigError, match=r"^accounts\.alice: Expected `object`, got `int`$"):
        convert(1, Door, "accounts.alice")


def test_a_secret_is_told_where_it_belongs() -> None:
    """Not here."""
    with pytest.raises(ConfigError) as caught:
        convert({"width": 1, "client_secret": "s3cret"}, Door, "accounts.alice")
    assert "client_secret_file" in caught.value.hint
    assert "s3cret" not in str(caught.value.problem())


@pytest.mark.parametrize(
    ("name", "key"),
    [("alice", "alice"), ("a-b_1", "a-b_1"), ("a@b.c", '"a@b.c"'), ("ü", '"ü"'), ('"', '"\\""'), ("", '""')],
)
def test_keys_are_quoted_where_they_have_to_be(name: str, key: str) -> None:
    """As TOML 1.0 says what a bare key is."""
    assert toml_key(name) == key

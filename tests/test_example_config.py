"""config/config.toml, which describes every key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jmap_proxy.config import Account, Config, Hooks, Limits, Listen, Store, parse_config

TEXT = (Path(__file__).parent.parent / "config" / "config.toml").read_text("utf-8")
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "listen": Listen,
    "accounts": Account,
    "store": Store,
    "hooks": Hooks,
    "limits": Limits,
}


def defaults(form: type[msgspec.Struct]) -> dict[str, Any]:
    """The keys of a section and their defaults."""
    return {field.name: field.default for field in msgspec.structs.fields(form)}


def test_it_is_a_configuration() -> None:
    """With one account, and all sections that there are."""
    assert set(parse_config(TEXT).accounts) == {"alice"}
    assert set(SECTIONS) == set(Config.__struct_fields__)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_stands_there_with_its_default(section: str) -> None:
    """What has no default that could be written is there as a comment; only the server must be given."""
    written = tomllib.loads(TEXT)[section]
    written = written["alice"] if section == "accounts" else written
    wanted = defaults(SECTIONS[section])
    for key, default in wanted.items():
        if default is None:
            assert re.search(rf"^# {key} +=", TEXT, re.MULTILINE), key
        elif default is msgspec.NODEFAULT:
            assert key in written
        else:
            assert (tuple(written[key]) if isinstance(default, tuple) else written[key]) == default, key
    assert set(written) <= set(wanted)


def test_every_key_is_explained() -> None:
    """A comment beside it, or on the line below; a secret stands nowhere."""
    lines = TEXT.splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"(# )?[a-z_]+ +=", line)]
    explained = [number for number in keys if "#" in lines[number][2:] or lines[number + 1].lstrip().startswith("#")]
    bare = [lines[number] for number in keys if number not in explained]
    assert bare == ['kind = "file"']

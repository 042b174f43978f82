"""docs/configuration.md, which tells of every key: what stands there is what the program takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from jmap_proxy.config import Account, Config, Hooks, Limits, Listen, Store

TEXT = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text("utf-8")
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "[listen]": Listen,
    "[accounts.NAME]": Account,
    "[store]": Store,
    "[hooks]": Hooks,
    "[limits]": Limits,
}
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def told(section: str) -> dict[str, tuple[str, str, str]]:
    """What the table below a heading says of each key: type, default and meaning."""
    _, _, after = TEXT.partition(f"\n## `{section}`\n")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", after.partition("\n## ")[0], re.MULTILINE)
    assert len(rows) == len({row[0] for row in rows})
    return {key: (form, default, meaning) for key, form, default, meaning in rows}


def type_in_words(field: msgspec.inspect.Type) -> str:
    """The type of a key as the page tells it."""
    match field:
        case msgspec.inspect.UnionType(types=types):
            (one,) = [each for each in types if not isinstance(each, msgspec.inspect.NoneType)]
            return type_in_words(one)
        case msgspec.inspect.StrType():
            return "text"
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StrType()):
            return "list of texts"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            noun = "whole number" if isinstance(field, msgspec.inspect.IntType) else "number"
            bounds = [
                f"{sign} {value:g}" for name, sign in SIGNS.items() if (value := getattr(field, name)) is not None
            ]
            return f"{noun} {', '.join(bounds)}"
    raise AssertionError(f"the page has no word for {field}")


def choices(annotation: object) -> list[str] | None:
    """The values of a Literal in the order in which they are written, None for another type."""
    return [f'`"{value}"`' for value in get_args(annotation)] if "Literal" in str(get_origin(annotation)) else None


def forms(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The types of all keys in words."""
    annotations = {field.name: field.type for field in msgspec.structs.fields(struct)}
    kinds = {field.name: field.type for field in msgspec.inspect.type_info(struct).fields}  # type: ignore[attr-defined]
    words = {}
    for name, annotation in annotations.items():
        named = choices(annotation)
        words[name] = " or ".join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else ""
        words[name] = words[name] or type_in_words(kinds[name])
    return words


def defaults(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The keys of a section and their defaults."""
    return {field.name: field.default for field in msgspec.structs.fields(struct)}


def test_every_section_is_there() -> None:
    """And no other one."""
    assert re.findall(r"^## `(\[.+\])`$", TEXT, re.MULTILINE) == list(SECTIONS)
    assert {name.strip("[]").removesuffix(".NAME") for name in SECTIONS} == set(Config.__struct_fields__)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_there_and_no_other(section: str) -> None:
    """Each with what it means."""
    rows = told(section)
    assert sorted(rows) == sorted(SECTIONS[section].__struct_fields__)
    assert all(meaning.endswith(".") for _, _, meaning in rows.values())


@pytest.mark.parametrize("section", SECTIONS)
def test_every_default_is_the_one_in_force(section: str) -> None:
    """As TOML writes it; what has none says so."""
    for key, default in defaults(SECTIONS[section]).items():
        shown = told(section)[key][1]
        if default is msgspec.NODEFAULT:
            assert shown == "must be given", key
        elif default is None:
            assert shown == "not set", key
        else:
            value = tomllib.loads(f"it = {shown.strip('`')}")["it"]
            assert (tuple(value) if isinstance(default, tuple) else value) == default, key
            assert type(value) is type(default) or isinstance(default, tuple), key


@pytest.mark.parametrize("section", SECTIONS)
def test_every_type_is_the_one_that_is_checked(section: str) -> None:
    """Choices and bounds too."""
    assert {key: row[0] for key, row in told(section).items()} == forms(SECTIONS[section])

"""TOML as strict values: what does not fit is told by the whole name of its key. Pure."""

from __future__ import annotations

import json
import re
from typing import TypeVar

import msgspec

from jmap_proxy.errors import ConfigError

_T = TypeVar("_T")


def convert(raw: object, form: type[_T], where: str = "") -> _T:
    """A part of a TOML document as this form.

    Args:
        raw: As `tomllib` gives it.
        form: A struct that forbids unknown fields.
        where: Name of the section, "" for the whole document.

    Raises:
        ConfigError: it does not fit; names the key.
    """
    try:
        return msgspec.convert(raw, form)
    except msgspec.ValidationError as error:
        message = _in_our_words(str(error), where)
        raise ConfigError(message, hint=_hint_for(message)) from None


def _in_our_words(message: str, where: str) -> str:
    """What msgspec finds wrong, with the whole name of the key in front."""
    told, _, path = message.partition(" - at `$")
    inside = ".".join(part for part in (where, path.rstrip("`").lstrip(".")) if part)
    if found := re.fullmatch(r"Object (contains unknown|missing required) field `(.*)`", told):
        key = f"{inside}.{found[2]}" if inside else found[2]
        return f"{key} is missing" if found[1] == "missing required" else f"there is no key {key}"
    return f"{inside}: {told}" if inside else told


def _hint_for(message: str) -> str:
    if message.endswith(".client_secret"):
        return "secrets do not stand in the configuration: put it in a file and name that as client_secret_file"
    return "config/config.toml describes every key"


def toml_key(name: str) -> str:
    """A key as TOML wants it written: quoted where it has to be."""
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name, ensure_ascii=False)

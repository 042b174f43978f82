"""Mail clients: what each needs to know to come in by the proxy, as data files beside this one, one a client.

`ways_in` says where an account can be reached, `settings` writes what a client is to be given.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Literal

import msgspec

Kind = Literal["http", "https", "unix"]
Format = Literal["ini", "toml", "python", "javascript", "shell", "text"]


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One client.

    Attributes:
        title: What it is, in a few words.
        place: Where its settings go.
        format: What they are written in.
        kinds: The ways in that it can take, the best first.
        trust: How it is made to trust a private authority: by these settings, by the system's list, or not at all.
        sends: What it shows the local key as.
        notes: What its users should know.
        settings: Template of Jinja; `settings.render` says what it is given.
    """

    title: str
    place: str
    format: Format
    kinds: tuple[Kind, ...]
    trust: Literal["settings", "system", "never"] = "settings"
    sends: Literal["Basic", "Bearer"]
    notes: tuple[str, ...] = ()
    settings: str


@functools.cache
def clients() -> dict[str, Client]:
    """All clients, by name. Reads the package's own files, once."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): msgspec.convert(tomllib.loads(file.read_text("utf-8")), Client)
        for file in files
        if file.name.endswith(".toml")
    }

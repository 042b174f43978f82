"""Presets: what is known of the servers that many people use, as data files beside this one.

An account that names one (`preset = "fastmail"`) has its keys, unless it sets them itself.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

import msgspec

from jmap_proxy.origins import is_below


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one kind of server.

    Attributes:
        title: Its name, for people.
        hosts: Of servers that are of this kind: names, or `*.example.com` for all names below that one.
        realms: What such servers call themselves in the challenge of a 401 (RFC 9110 §11.5), from the first letter on.
        notes: What its users should know, in one or two sentences.
        account: Keys of `[accounts.NAME]`.
    """

    title: str
    hosts: tuple[str, ...] = ()
    realms: tuple[str, ...] = ()
    notes: str = ""
    account: dict[str, Any] = {}


@functools.cache
def presets() -> dict[str, Preset]:
    """All presets, by name. Reads the package's own files, once."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): msgspec.convert(tomllib.loads(file.read_text("utf-8")), Preset)
        for file in files
        if file.name.endswith(".toml")
    }


def preset_for(host: str, realm: str = "") -> str:
    """The name of the preset that fits a server, "" if none is known to. Matches whole labels only.

    Args:
        host: Of the server.
        realm: What it calls itself in its challenge, "" if nothing; the host counts more.
    """
    for name, preset in presets().items():
        if any(is_below(host, pattern) for pattern in preset.hosts):
            return name
    called = (name for name, preset in presets().items() if realm and realm.startswith(preset.realms))
    return next(called, "")

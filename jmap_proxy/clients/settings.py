"""What a client is to be given to come in: its settings with the account's values, or what is missing. Pure."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2

from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmap_proxy.clients import Client
    from jmap_proxy.clients.ways_in import WayIn

NO_KEY = "echo none"
"""Prints what a client shows that has to show something where no key is needed."""

NO_ADDRESS = "you@example.com"
"""Stands where a mail address belongs that is not known."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Who:
    """Whose settings they are.

    Attributes:
        account: Its name in the configuration.
        user: Its user name at the server.
        key_command: A command of the shell that prints the local key.
    """

    account: str
    user: str
    key_command: str


def way_for(name: str, client: Client, ways: Sequence[WayIn]) -> WayIn:
    """The best of these ways in that the client can take.

    Raises:
        ConfigError: it can take none of them; the hint says what is to be changed.
    """
    able = [way for kind in client.kinds for way in ways if way.kind == kind and _trusts(client, way)]
    if able:
        return able[0]
    if client.trust == "never" and any(way.kind == "https" for way in ways):
        raise ConfigError(
            f"{name} cannot be made to trust the authority of jmap-proxy cert, and there is no plain http",
            hint='in section [listen] of the configuration set: http = "127.0.0.1:8620"',
        )
    if "http" not in client.kinds:
        raise ConfigError(
            f"{name} speaks https only, and listen.https is off or has no fixed port",
            hint='run: jmap-proxy cert, then in section [listen] of the configuration set: https = "127.0.0.1:8621"',
        )
    raise ConfigError(
        f"{name} finds no way in: {' and '.join(client.kinds)} are off, or have no fixed port",
        hint='in section [listen] of the configuration set: http = "127.0.0.1:8620"',
    )


def _trusts(client: Client, way: WayIn) -> bool:
    return client.trust != "never" or not way.ca_file


def render(client: Client, who: Who, way: WayIn) -> str:
    """The settings, as they go where the client reads them.

    The template gets `way`, `account`, `label` (the account's name where brackets and the like would hurt), `user`,
    `address`, `key_command`, and for each format a filter that writes a value in it.

    Raises:
        ConfigError: a value holds a character that no line of settings can hold.
    """
    values = {
        "account": who.account,
        "label": re.sub(r"[^\w.@+-]", "-", who.account),
        "user": who.user,
        "address": address_of(who),
        "key_command": who.key_command if way.needs_key else NO_KEY,
    }
    for name, value in {**values, "ca_file": way.ca_file, "path": way.path}.items():
        if not value.isprintable():
            raise ConfigError(f"{name} holds a character that cannot be shown: {value!a}")
    return _ENVIRONMENT.from_string(client.settings).render(way=way, **values).strip("\n") + "\n"


def address_of(who: Who) -> str:
    """The account's mail address, as far as it can be known."""
    return who.user if "@" in who.user else NO_ADDRESS


def notes(client: Client, who: Who, way: WayIn) -> list[str]:
    """What is to be said with the settings."""
    said = [f"goes to: {client.place}", *client.notes]
    if way.ca_file and client.trust == "system":
        said.append("make the system trust the authority first; jmap-proxy cert says how")
    if address_of(who) == NO_ADDRESS and NO_ADDRESS in render(client, who, way):
        said.append(f"put your mail address in place of {NO_ADDRESS}")
    if not way.needs_key:
        said.append("no local key is needed there")
    return said


def _quoted(value: str) -> str:
    """A string of JSON, which for printable text is one of TOML, Python and JavaScript, too."""
    return json.dumps(value, ensure_ascii=False)


def _toml_key(value: str) -> str:
    return value if _BARE.fullmatch(value) else _quoted(value)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - no HTML; each value goes through the filter of its format
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "toml": _quoted,
        "toml_key": _toml_key,
        "javascript": _quoted,
        "python": _quoted,
        "shell": shlex.quote,
        "url": lambda value: quote(value, safe=""),
    }
    return environment


_ENVIRONMENT = _environment()

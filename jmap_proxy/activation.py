"""Sockets that a service manager has opened for us: sd_listen_fds(3)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping

FIRST_DESCRIPTOR = 3
MOST = 64
FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
SHARED = ("http", "https", "admin", "unix")
OF_ACCOUNT = "account-"
"""Stands before an account's name; systemd allows no colon in FileDescriptorName=."""

Inherited = dict[str, list[socket.socket]]
"""By listener: "http", "https", "admin", "unix", or "account-" and the account's name."""


def inherited_sockets(
    environment: MutableMapping[str, str], pid: int, accounts: Collection[str], first: int = FIRST_DESCRIPTOR
) -> Inherited:
    """The sockets that were handed down to this process; no child of it inherits them again.

    A name says what a socket is for (FileDescriptorName= in the unit). Without one (systemd then gives the unit's own
    name) a Unix socket is `unix`, and a TCP socket `http`.

    Args:
        environment: LISTEN_FDS and its like are removed, as they are for this process alone.
        pid: Of this process; what is meant for another one is left alone.
        accounts: Names of the configured accounts.
        first: Number of the first descriptor.

    Raises:
        ConfigError: a descriptor is no listening stream socket, or its name is unknown.
    """
    told = {name: environment.pop(name) for name in VARIABLES if name in environment}
    if told.get("LISTEN_PID") != str(pid):
        return {}
    opened: list[socket.socket] = []
    inherited: Inherited = {}
    try:
        for descriptor, name in enumerate(_names(told), first):
            opened.append(_socket(descriptor, name))
            inherited.setdefault(_listener(opened[-1], name, accounts), []).append(opened[-1])
    except ConfigError:
        for each in opened:
            each.close()
        raise
    return inherited


def close_sockets(inherited: Inherited) -> None:
    """Close them all."""
    for each in (each for group in inherited.values() for each in group):
        each.close()


def _names(told: Mapping[str, str]) -> list[str]:
    """The name of each descriptor, "" where it has none."""
    count = told.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit() and len(count) <= len(str(MOST)) and int(count) <= MOST):
        raise ConfigError(f"LISTEN_FDS: {count!r} is no number of sockets", hint="see sd_listen_fds(3)")
    names = told["LISTEN_FDNAMES"].split(":") if told.get("LISTEN_FDNAMES") else []
    return [*names, *[""] * (int(count) - len(names))][: int(count)]


def _socket(descriptor: int, name: str) -> socket.socket:
    try:
        each = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(
            f"the descriptor {descriptor} ({name}) that was handed down is no socket: {error.strerror}",
            hint="use ListenStream= in the .socket unit",
        ) from None
    each.set_inheritable(False)
    if (
        each.family not in FAMILIES
        or each.type != socket.SOCK_STREAM
        or not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        each.close()
        raise ConfigError(
            f"the socket {descriptor} ({name}) that was handed down does not listen for TCP or Unix connections",
            hint="use ListenStream= and Accept=no in the .socket unit",
        )
    return each


def _listener(each: socket.socket, name: str, accounts: Collection[str]) -> str:
    if name in ("", "unknown") or name.endswith(".socket"):
        name = "unix" if each.family == socket.AF_UNIX else "http"
    known = [*SHARED, *(OF_ACCOUNT + account for account in accounts)]
    if name not in known:
        raise ConfigError(
            f"a socket was handed down with the name {name!r}, which is none of {', '.join(known)}",
            hint="set FileDescriptorName= in the .socket unit",
        )
    if (each.family == socket.AF_UNIX) != (name == "unix"):
        raise ConfigError(
            f"the socket handed down as {name!r} is {'a' if each.family == socket.AF_UNIX else 'no'} Unix socket",
            hint="set FileDescriptorName= and ListenStream= in the .socket unit to what belongs together",
        )
    return name

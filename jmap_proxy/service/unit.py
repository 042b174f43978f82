"""The systemd user unit, as text (systemd.service(5), systemd.syntax(7)). Pure.

config/jmap-proxy.service is the same unit with the paths of a usual installation; a test compares them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jmap_proxy.errors import ServiceError

if TYPE_CHECKING:
    from jmap_proxy.service.served import Served

_PLAIN = re.compile(r"[A-Za-z0-9/._+@:,=-]+")
_NO_PROGRAM = re.compile(r"[\"'\\]")

_UNIT = """\
[Unit]
Description=jmap-proxy: OAuth for JMAP clients

[Service]
# ready when it listens; with systemd 253 or later, notify-reload lets `systemctl reload` wait for the end, too
Type=notify
ExecStart={exec_start}
{environment}ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
# 78: the configuration is wrong, which a restart does not mend
RestartPreventExitStatus=78
# longer than requests in flight get (limits.shutdown) and a refresh under way can take
TimeoutStopSec=150
# it gives a sign of life each half of this, as long as it answers itself
WatchdogSec=60
# an abort must leave no memory behind: tokens are in it
LimitCORE=0

UMask=0077
NoNewPrivileges=yes
PrivateUsers=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged

[Install]
WantedBy=default.target
"""


def unit(served: Served) -> str:
    """The whole unit.

    Raises:
        ServiceError: a path holds a character that no line of a unit can hold, or no program's path (measured: systemd
            252 says "Executable name contains special characters").
    """
    for text in served.texts:
        if not text.isprintable():
            raise ServiceError(
                f"no unit can hold {text!a}", hint="choose a path without line breaks and other hidden characters"
            )
    program, *arguments = served.argv
    if _NO_PROGRAM.search(program):
        raise ServiceError(
            f"systemd starts no program whose path holds quotes or backslashes: {program}",
            hint="install jmap-proxy in another folder",
        )
    variables = [f"Environment={word(f'{name}={value}')}\n" for name, value in served.environment.items()]
    return filled(
        exec_start=" ".join([word(program), *(word(each).replace("$", "$$") for each in arguments)]),
        environment="".join(variables),
        writable=" ".join(map(word, served.writable)),
    )


def filled(*, exec_start: str, environment: str, writable: str) -> str:
    """The unit with values that are written as systemd reads them."""
    return _UNIT.format(exec_start=exec_start, environment=environment, writable=writable)


def word(text: str) -> str:
    """One word of a value: quoted where it must be, `%` doubled, since it would begin a specifier (systemd.unit(5)).

    In arguments of a command `$` is to be doubled, too; not in the program's path, where no variable is looked for.
    """
    doubled = text.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return doubled
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

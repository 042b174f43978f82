"""Where the platform looks for the files of a user's services. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jmap_proxy.errors import ServiceError
from jmap_proxy.service.agent import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = "jmap-proxy.service"


def unit_file(environment: Mapping[str, str]) -> Path:
    """Of systemd (systemd.unit(5), user unit search path)."""
    if config := environment.get("XDG_CONFIG_HOME"):
        return Path(config) / "systemd" / "user" / UNIT
    return _home(environment) / ".config" / "systemd" / "user" / UNIT


def agent_file(environment: Mapping[str, str]) -> Path:
    """Of launchd (launchctl(1))."""
    return _home(environment) / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def log_file(environment: Mapping[str, str]) -> Path:
    """Where macOS looks for logs."""
    return _home(environment) / "Library" / "Logs" / "jmap-proxy.log"


def _home(environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME", "")
    if not home:
        raise ServiceError("HOME is not set, so the folder of services is not known", hint="set HOME")
    return Path(home)

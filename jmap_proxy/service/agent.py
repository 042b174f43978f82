"""The launchd agent of macOS, as a property list (launchd.plist(5)). Pure."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING

from jmap_proxy.errors import ServiceError

if TYPE_CHECKING:
    from jmap_proxy.service.served import Served

LABEL = "jmap-proxy"


def agent(served: Served) -> str:
    """The whole property list.

    Raises:
        ServiceError: a path holds a character that XML 1.0 has not.
    """
    wanted = {
        "Label": LABEL,
        "ProgramArguments": list(served.argv),
        "EnvironmentVariables": dict(served.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,  # seconds: a configuration that is wrong is not mended by trying at once
        "ExitTimeOut": 150,  # as TimeoutStopSec of the unit
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},  # an abort must leave no memory behind: tokens are in it
        "StandardErrorPath": served.log,
    }
    try:
        return plistlib.dumps({key: value for key, value in wanted.items() if value not in ("", {})}).decode()
    except (ValueError, UnicodeError):
        raise ServiceError(
            "a path holds a character that no agent can hold", hint="choose paths without hidden characters"
        ) from None

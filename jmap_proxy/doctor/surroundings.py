"""What stands around the proxy on this machine: local keys, the hook, what starts it. Blocks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Finding, info, ok, told, warning
from jmap_proxy.errors import StoreError
from jmap_proxy.local_keys import FILE_NAME, LocalKeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jmap_proxy.doctor.installation import Installation

UNIT = "jmap-proxy.service"
SYSTEM_UNITS = tuple(
    Path(folder) / kind
    for folder in ("/etc/systemd", "/usr/lib/systemd", "/lib/systemd")
    for kind in ("user", "system")
)
AGENTS = "*jmap-proxy*.plist"


def look_at_local_keys(installation: Installation, wrong: frozenset[Path], signed_in: frozenset[str]) -> list[Finding]:
    """Whether clients have a key to come in with; an account that is not signed in gets its key with the sign-in."""
    if installation.state / FILE_NAME in wrong:
        return []
    keys = LocalKeys(installation.state)
    findings = []
    try:
        for name, account in installation.examined.items():
            if name not in signed_in or account.local_auth == "none":
                continue
            if keys.has_key(name):
                findings.append(ok("local-key", "clients have one", name))
            else:
                what = "the account has no local key, so no client can come in"
                findings.append(warning("local-key-missing", what, f"run: jmap-proxy key {name}", name))
    except StoreError as trouble:
        return [told("local-keys-damaged", trouble)]
    return findings


def look_at_hook(installation: Installation) -> list[Finding]:
    """Whether the hook's program can be run."""
    command = installation.config.hooks.on_sign_in_needed
    if not command:
        return []
    if shutil.which(command[0], path=installation.environment.get("PATH")) is None:
        what = f"hooks.on_sign_in_needed: {command[0]} is no program that can be run"
        mend = f"run: chmod +x {command[0]}, or set hooks.on_sign_in_needed to another program"
        return [warning("hook-not-executable", what, mend)]
    return [ok("hook", command[0])]


def look_at_service(environment: Mapping[str, str]) -> list[Finding]:
    """Whether something starts the proxy by itself (systemd, launchd)."""
    if any(path.exists() for path in _units(environment)):
        return [ok("service", "installed")]
    what = "no service unit is installed, so nothing starts the proxy by itself"
    return [info("service-absent", what, "run: jmap-proxy service install")]


def _units(environment: Mapping[str, str]) -> Iterator[Path]:
    home = environment.get("HOME", "")
    config = environment.get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    if config:
        yield Path(config) / "systemd" / "user" / UNIT
    yield from (folder / UNIT for folder in SYSTEM_UNITS)
    if home:
        yield from (Path(home) / "Library" / "LaunchAgents").glob(AGENTS)

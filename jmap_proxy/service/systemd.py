"""The service as a unit of the user's systemd manager. Blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy import files
from jmap_proxy.errors import ServiceError
from jmap_proxy.service.places import UNIT
from jmap_proxy.service.program import Done, check_ours, read, run, write
from jmap_proxy.service.seal import is_untouched, sealed_unit
from jmap_proxy.service.state import ServiceState
from jmap_proxy.service.unit import unit

if TYPE_CHECKING:
    from pathlib import Path

    from jmap_proxy.service.served import Served

JOURNAL = "see: journalctl --user -u jmap-proxy -n 30, and run: jmap-proxy doctor"
NO_MANAGER = (
    "sign in as this user directly, by ssh or: machinectl shell USER@ (su and sudo start no user manager); "
    "where there is no systemd, let what starts programs there run: jmap-proxy serve"
)
LINGER = "it ends with your last session; to let it run without one: loginctl enable-linger"
PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,MainPID,StatusText"


class SystemdService:
    """The unit.

    Args:
        path: Of the unit's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(self, served: Served, *, force: bool) -> list[str]:
        """Write the unit, and start it now and with each session; one that runs with another text is restarted.

        Returns:
            What was done.

        Raises:
            ServiceError: a step failed; the hint says how to go on.
            StoreError: the file cannot be written.
        """
        text = sealed_unit(unit(served))
        _check_manager()
        there = read(self.path)
        check_ours(self.path, there, force=force)
        changed = there != text
        if changed:
            write(self.path, text)
        was_active = _systemctl("is-active", "--quiet", UNIT).is_good
        _must("daemon-reload", hint="run: systemctl --user daemon-reload, and look at what it says")
        _must("enable", "--now", UNIT, hint=JOURNAL)
        if changed and was_active:
            _must("restart", UNIT, hint=JOURNAL)
        done = f"{self.path} is written" if changed else f"{self.path} is as it should be"
        return [f"{done}; {UNIT} is running.", *_linger()]

    def uninstall(self, *, force: bool) -> list[str]:
        """Stop the unit, and remove it.

        Returns:
            What was done.

        Raises:
            ServiceError, StoreError: a step failed; the unit's file is there until it is stopped.
        """
        there = read(self.path)
        if there is None:
            return [f"{self.path}: there is no such unit, so nothing is to be done."]
        check_ours(self.path, there, force=force)
        manager = _systemctl("show", "--property=Version").is_good
        if manager:
            _must("disable", "--now", UNIT, hint=f"run: systemctl --user kill {UNIT}, then this once more")
        files.remove_durably(self.path)
        if not manager:
            files.remove_durably(self.path.parent / "default.target.wants" / UNIT)
            return [f"{self.path} is removed; no user manager runs, so it was not running."]
        _must("daemon-reload", hint="run: systemctl --user daemon-reload, and look at what it says")
        return [f"{UNIT} is stopped; {self.path} is removed."]

    def state(self) -> ServiceState:
        """How the unit is doing. Raises ServiceError where its file cannot be read."""
        there = read(self.path)
        asked = _systemctl("show", UNIT, f"--property={PROPERTIES}")
        told = dict(line.split("=", 1) for line in asked.out.splitlines() if "=" in line) if asked.is_good else {}
        return ServiceState(
            path=str(self.path),
            installed=there is not None or told.get("LoadState") == "loaded",
            untouched=there is not None and is_untouched(there),
            starts_by_itself=told.get("UnitFileState") == "enabled",
            running=told.get("ActiveState") == "active",
            told=told.get("StatusText", "") or "/".join(filter(None, (told.get("ActiveState"), told.get("SubState")))),
            trouble="" if asked.is_good else asked.said,
        )


def _systemctl(*arguments: str) -> Done:
    return run("systemctl", "--user", *arguments)


def _must(*arguments: str, hint: str) -> None:
    done = _systemctl(*arguments)
    if not done.is_good:
        raise ServiceError(f"systemctl --user {' '.join(arguments)} failed: {done.said}", hint=hint)


def _check_manager() -> None:
    done = _systemctl("show", "--property=Version")
    if not done.is_good:
        raise ServiceError(f"there is no systemd user manager: {done.said}", hint=NO_MANAGER)


def _linger() -> list[str]:
    asked = run("loginctl", "show-user", "--property=Linger", "--value")
    return [] if asked.is_good and asked.out.strip() == "yes" else [f"note: {LINGER}"]

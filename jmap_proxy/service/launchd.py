"""The service as an agent of launchd, for macOS. Blocks."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from jmap_proxy import files
from jmap_proxy.errors import ServiceError
from jmap_proxy.service.agent import LABEL, agent
from jmap_proxy.service.program import PATIENCE, Done, check_ours, read, run, write
from jmap_proxy.service.seal import is_untouched, sealed_agent
from jmap_proxy.service.state import ServiceState

if TYPE_CHECKING:
    from pathlib import Path

    from jmap_proxy.service.served import Served

NO_SESSION = "sign in at the screen once (an ssh session alone has no launchd of its own), then run this again"
NOT_LOADED = 113
"""launchctl's exit code where it does not know the service."""

PAUSE = 0.2
"""Seconds between two looks at whether it has ended."""

_STATE = re.compile(r"^\s*state = (?P<state>.+)$", re.MULTILINE)


class LaunchdService:
    """The agent.

    Args:
        path: Of its property list.
        user: Id of the user whose it is.
        patience: Seconds that it gets to end.
    """

    def __init__(self, path: Path, user: int, patience: float = PATIENCE) -> None:
        self.path = path
        self._patience = patience
        self._domain = f"gui/{user}"

    @property
    def _target(self) -> str:
        return f"{self._domain}/{LABEL}"

    def install(self, served: Served, *, force: bool) -> list[str]:
        """Write the agent, and start it now and with each session; one that runs is replaced.

        Returns:
            What was done.

        Raises:
            ServiceError: a step failed; the hint says how to go on.
            StoreError: the file cannot be written.
        """
        text = sealed_agent(agent(served))
        there = read(self.path)
        check_ours(self.path, there, force=force)
        loaded = self._print().is_good
        if there == text and loaded:
            return [f"{self.path} is as it should be; {LABEL} is loaded."]
        write(self.path, text)
        if loaded:
            self._end()
        self._must("enable", self._target, hint=NO_SESSION)
        self._must("bootstrap", self._domain, str(self.path), hint=f"{NO_SESSION}; its log: {served.log}")
        return [f"{self.path} is written; {LABEL} is loaded.", f"Its log: {served.log}"]

    def uninstall(self, *, force: bool) -> list[str]:
        """Stop the agent, and remove it.

        Returns:
            What was done.

        Raises:
            ServiceError, StoreError: a step failed; the file is there until the agent is stopped.
        """
        there = read(self.path)
        if there is None:
            return [f"{self.path}: there is no such agent, so nothing is to be done."]
        check_ours(self.path, there, force=force)
        if self._print().is_good:
            self._end()
        files.remove_durably(self.path)
        return [f"{LABEL} is stopped; {self.path} is removed."]

    def state(self) -> ServiceState:
        """How the agent is doing. Raises ServiceError where its file cannot be read."""
        there = read(self.path)
        asked = self._print()
        found = _STATE.search(asked.out) if asked.is_good else None
        told = found["state"].strip() if found else ""
        return ServiceState(
            path=str(self.path),
            installed=there is not None or asked.is_good,
            untouched=there is not None and is_untouched(there),
            starts_by_itself=there is not None and asked.is_good,
            running=told == "running",
            told=told,
            trouble="" if asked.is_good or asked.code == NOT_LOADED else asked.said,
        )

    def _end(self) -> None:
        """Unload it. launchctl may return before it has ended, and what has not ended cannot be loaded anew."""
        hint = f"run: launchctl kill KILL {self._target}, then this once more"
        self._must("bootout", self._target, hint=hint)
        until = time.monotonic() + self._patience
        while self._print().is_good:
            if time.monotonic() >= until:
                raise ServiceError(f"{LABEL} does not end", hint=hint)
            time.sleep(PAUSE)

    def _print(self) -> Done:
        return run("launchctl", "print", self._target)

    def _must(self, *arguments: str, hint: str) -> None:
        done = run("launchctl", *arguments)
        if not done.is_good:
            raise ServiceError(f"launchctl {' '.join(arguments)} failed: {done.said}", hint=hint)

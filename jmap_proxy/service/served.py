"""What the service runs, and with what. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Served:
    """The program and its surroundings.

    Attributes:
        argv: Program, an absolute path, and arguments.
        writable: Folders that it writes to, all others stay closed; the state folder is the first.
        environment: What it is told.
        log: File for its log where the platform keeps none.
    """

    argv: tuple[str, ...]
    writable: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text in it."""
        return (*self.argv, *self.writable, *self.environment, *self.environment.values(), self.log)

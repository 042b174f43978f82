"""A clock that a test sets by hand."""

from __future__ import annotations

from dataclasses import dataclass

NOW = 1_800_000_000.0


@dataclass
class Clock:
    """A clock that stands still until `now` is changed."""

    now: float = NOW

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now

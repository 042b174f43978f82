"""How long and how often is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often is measured.

    Attributes:
        rounds: In each, every proxy has its turn.
        seconds: Of each turn under load; Sessions and WebSockets get half of it, which is enough for them.
        streams: Idle event streams.
        blob: Bytes of an upload, and of what is read of a download.
        accounts: Of the proxy with many.
    """

    rounds: int = 5
    seconds: float = 2.0
    streams: int = 2000
    blob: int = 256 << 20
    accounts: int = 1000

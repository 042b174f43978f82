"""The real JMAP clients, each an unmodified release in a virtual environment of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.e2e.layout import HERE, installed
from tests.e2e.program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.certificate import Certificate
    from tests.e2e.proxy import Proxy

CLIENTS = ("jmapc", "jmaplib", "jmax")
_PATIENCE = 60.0


@dataclass(frozen=True)
class Outcome:
    """What a client reported."""

    operations: int
    failures: list[str]
    slowest: float
    seen: dict[str, Any]


class MailClient:
    """One client, pointed at the proxy with the local key.

    Args:
        name: One of `CLIENTS`.
        proxy: Where it is pointed at.
        certificate: The authority that an https-only client trusts.
        folder: For what it writes.
    """

    def __init__(self, name: str, *, proxy: Proxy, certificate: Certificate, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._env = {
            "JMAP_URL": proxy.url_for(name),
            "JMAP_KEY": proxy.key,
            "REQUESTS_CA_BUNDLE": str(certificate.authority),
        }
        self._program: Program | None = None
        self._seconds = 0.0

    def start(self, seconds: float = 0.0) -> Self:
        """Every operation once, then mixed ones for as long as asked; returns at once."""
        python, script = installed(f"{self.name}/bin/python"), HERE / "clients" / f"{self.name}_client.py"
        argv = [str(python), "-B", str(script), "--seconds", str(seconds)]
        self._seconds = seconds
        self._program = Program(f"client-{self.name}", argv, self._folder, self._env).start()
        return self

    def outcome(self) -> Outcome:
        """Waits for the end."""
        assert self._program is not None, f"{self.name} was not started"
        try:
            status = self._program.wait(self._seconds + _PATIENCE)
        finally:
            self._program.stop()
        assert status == 0, f"{self.name} ended with {status}\n{self._program.said()}"
        return Outcome(**json.loads(self._program.line("{")))

"""A real client that listens for changes, and what it has heard so far."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from tests.e2e.layout import HERE, installed
from tests.e2e.program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.certificate import Certificate
    from tests.e2e.proxy import Proxy

_PATIENCE = 20.0


class Listener:
    """One client, pointed at the proxy with the local key; it listens as long as this is entered.

    Args:
        script: A file of `clients/`, without its ending; it begins with the client's name.
        proxy: Where it is pointed at.
        certificate: The authority that it trusts over https.
        folder: For what it writes.
        secure: Whether it is pointed at https though it could do without.
    """

    def __init__(
        self, script: str, *, proxy: Proxy, certificate: Certificate, folder: Path, secure: bool = False
    ) -> None:
        client = script.partition("_")[0]
        argv = [str(installed(f"{client}/bin/python")), "-B", str(HERE / "clients" / f"{script}.py")]
        env = {
            "JMAP_URL": proxy.tls_url if secure else proxy.url_for(client),
            "JMAP_KEY": proxy.key,
            "REQUESTS_CA_BUNDLE": str(certificate.authority),  # jmapc
            "SSL_CERT_FILE": str(certificate.authority),  # jmaplib
        }
        self._heard = 0
        self.program = Program(f"listener-{script}", argv, folder, env)

    def __enter__(self) -> Self:
        self.program.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.program.stop()

    def said(self, word: str) -> list[Any]:
        """What followed this word so far, in order."""
        lines = self.program.out.read_text("utf-8").splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [line[word] for line in told if word in line]

    def wait_for(self, word: str, count: int = 1) -> list[Any]:
        """What followed this word, as soon as it was said so often."""
        return self.program.until(lambda: self._at_least(word, count), f"{word!r} no. {count}", _PATIENCE)

    def hear_of_mail(self) -> None:
        """Waits for a change of mail that was not waited for before; no state may come twice."""
        self._heard += 1
        self.program.until(lambda: True if self._has_heard() else None, f"change no. {self._heard} of mail", _PATIENCE)

    def _has_heard(self) -> bool:
        states = [
            states["Email"] for changed in self.said("changed") for states in changed.values() if "Email" in states
        ]
        assert len(set(states)) == len(states), f"a state came twice: {states}"
        return len(states) >= self._heard

    def _at_least(self, word: str, count: int) -> list[Any] | None:
        said = self.said(word)
        return said if len(said) >= count else None

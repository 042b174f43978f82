"""A keyring that keeps its entries in a file: what a desktop has, for tests. Used by the name of its class."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.errors import KeyringLocked, PasswordDeleteError

FILE = "JMAP_PROXY_TEST_KEYRING"
"""Names the file in the environment; while it holds "locked", nothing can be read or written."""


class FileKeyring(KeyringBackend):
    """Entries by service and user name."""

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805
        """Whether it takes part: the library finds every backend that was ever imported."""
        if FILE not in os.environ:
            raise RuntimeError("not asked for")
        return 9.0

    def get_password(self, service: str, username: str) -> str | None:
        """The password, None if there is none."""
        return self._entries().get(f"{service}\0{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a password."""
        self._write({**self._entries(), f"{service}\0{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        """Forget a password."""
        entries = self._entries()
        if entries.pop(f"{service}\0{username}", None) is None:
            raise PasswordDeleteError
        self._write(entries)

    def _entries(self) -> dict[str, str]:
        path = Path(os.environ[FILE])
        text = path.read_text() if path.exists() else "{}"
        if text == "locked":
            raise KeyringLocked
        entries: dict[str, str] = json.loads(text)
        return entries

    def _write(self, entries: dict[str, str]) -> None:
        Path(os.environ[FILE]).write_text(json.dumps(entries))

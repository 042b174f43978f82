"""Somebody who has nothing yet but an address: neither account nor client, only ports to listen on."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmap_proxy.sandbox import browse
from tests.e2e.fetch import fetch, status_of
from tests.e2e.layout import free_ports
from tests.e2e.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMAND = Path(sys.executable).with_name("jmap-proxy")
_KEY_LINE = "Local key: "
_PATIENCE = 30.0


class Newcomer:
    """A user at a shell.

    Args:
        folder: For the files.
        address: Whose mail.
        server: Base URL of the JMAP server.
        issuer: The OpenID Provider.
    """

    def __init__(self, folder: Path, *, address: str, server: str, issuer: str) -> None:
        http_port, admin_port = free_ports(2)
        self.url, self.admin_url = f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{admin_port}"
        self._address = address
        self._where: tuple[str, ...] = ("--server", server, "--issuer", issuer)
        self._issuer = issuer
        self._folder = folder
        self._config = folder / "config.toml"
        self._config.write_text(f'[listen]\nhttp = "127.0.0.1:{http_port}"\nadmin = "127.0.0.1:{admin_port}"\n')

    @property
    def account(self) -> dict[str, Any]:
        """What stands in the configuration of the account."""
        account: dict[str, Any] = tomllib.loads(self._config.read_text())["accounts"][self._address]
        return account

    def login(self) -> str:
        """Sign in by a browser; the local key."""
        login = self._command("login", self._address, *self._where, "--no-browser").start()
        try:
            _visit(login.line(self._issuer, _PATIENCE))
            return _key(login)
        finally:
            login.stop()

    def configure(self, **keys: str) -> None:
        """Writes the account into the configuration, and says no more when signing in."""
        section = "".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items())
        self._config.write_text(f'{self._config.read_text()}[accounts."{self._address}"]\n{section}')
        self._where = ()

    def login_on_device(self) -> str:
        """Sign in by the code that is shown; the local key."""
        login = self._command("login", self._address, *self._where, "--device").start()
        try:
            place = login.line("Open this on any device: ", _PATIENCE).rpartition(" ")[2]
            _visit(place, typed=login.line("and enter this code: ").rpartition(" ")[2])
            return _key(login)
        finally:
            login.stop()

    def logout(self) -> None:
        """Sign out."""
        logout = self._command("logout", self._address).start()
        assert logout.wait(_PATIENCE) == 0, logout.said()
        assert "the provider has revoked" in logout.said()

    def forgotten(self, client_id: str) -> bool:
        """Whether the provider does not know that client any more."""
        form = {"client_id": client_id, "grant_type": "authorization_code", "code": "x", "redirect_uri": "http://x/"}
        error: str = fetch(f"{self._issuer}/token", form=form).json()["error"]
        return error == "invalid_client"

    @contextmanager
    def serving(self) -> Iterator[Program]:
        """Runs the proxy."""
        serve = self._command("serve").start()
        try:
            serve.until(lambda: True if status_of(f"{self.admin_url}/readyz") == 200 else None, "readiness")
            yield serve
        finally:
            assert serve.stop() == 0, serve.said()

    def generation(self) -> int:
        """How many access tokens the running proxy has had."""
        generation: int = fetch(f"{self.admin_url}/readyz").json()["accounts"][self._address]["generation"]
        return generation

    def _command(self, *words: str) -> Program:
        env = {
            "JMAP_PROXY_CONFIG": str(self._config),
            "JMAP_PROXY_STATE": str(self._folder / "state"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        return Program(f"jmap-proxy-{words[0]}", [str(_COMMAND), *words], self._folder, env)


def _visit(url: str, typed: str = "") -> None:
    status, page = asyncio.run(browse(url, typed=typed or "nothing"))
    assert status == 200, page


def _key(login: Program) -> str:
    assert login.wait(_PATIENCE) == 0, login.said()
    return login.line(_KEY_LINE).removeprefix(_KEY_LINE)

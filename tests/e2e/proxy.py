"""jmap-proxy itself, driven as a person drives it: the command, a config file, a state folder."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Self

from tests.e2e.browser import Browser
from tests.e2e.fetch import fetch, status_of
from tests.e2e.layout import free_ports
from tests.e2e.program import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.certificate import Certificate

_COMMAND = Path(sys.executable).with_name("jmap-proxy")
_KEY_LINE = "Local key: "
_BETWEEN_CALLS = 0.25  # seconds
_HTTPS_ONLY = frozenset({"jmapc"})
_CONFIG = Template("""\
[listen]
http = "127.0.0.1:$http_port"
https = "127.0.0.1:$https_port"
admin = "127.0.0.1:$admin_port"
cert_file = "$cert_file"
key_file = "$key_file"

[accounts.$account]
server = "$server"
issuer = "$issuer"
client_id = "$client_id"
scopes = $scopes
""")


class Proxy:
    """One account, signed in by a robot browser and served over http and https.

    Args:
        folder: For its files.
        server: Base URL of the JMAP server.
        issuer: The OpenID Provider.
        client_id: What it knows the proxy as.
        scopes: What the proxy asks it for.
        certificate: For https.
    """

    account = "alice"

    def __init__(
        self, folder: Path, *, server: str, issuer: str, client_id: str, scopes: Sequence[str], certificate: Certificate
    ) -> None:
        self.client_id = client_id
        http_port, https_port, admin_port = free_ports(3)
        self.url = f"http://127.0.0.1:{http_port}"
        self.tls_url = f"https://localhost:{https_port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.key = ""
        self._issuer = issuer
        self._folder = folder
        config = folder / "config.toml"
        self._env = {"JMAP_PROXY_CONFIG": str(config), "JMAP_PROXY_STATE": str(folder / "state")}
        self.program = self._command("serve")
        config.write_text(
            _CONFIG.substitute(
                http_port=http_port,
                https_port=https_port,
                admin_port=admin_port,
                cert_file=certificate.chain,
                key_file=certificate.key,
                account=self.account,
                server=server,
                issuer=issuer,
                client_id=client_id,
                scopes=json.dumps(list(scopes)),
            )
        )

    def __enter__(self) -> Self:
        self.key = self._sign_in()
        self.program.start()
        try:
            self.program.until(self._ready, "readiness")
        except BaseException:
            self.program.stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        status = self.program.stop()
        assert status == 0, f"serve ended with {status} on SIGTERM\n{self.program.said()}"

    def url_for(self, client: str) -> str:
        """Where a client is pointed at, by its name."""
        return self.tls_url if client in _HTTPS_ONLY else self.url

    def outlive_tokens(self, count: int) -> None:
        """Keeps asking for the Session until it has had so many more access tokens."""
        last = self.generation() + count
        while self.generation() < last:
            answer = fetch(f"{self.url}/.well-known/jmap", headers={"Authorization": f"Bearer {self.key}"})
            assert answer.status == 200, answer.body
            time.sleep(_BETWEEN_CALLS)

    def generation(self) -> int:
        """How many access tokens it has had for the account: 1 after the sign-in, one more with each refresh."""
        readiness: dict[str, Any] = fetch(f"{self.admin_url}/readyz").json()
        generation = readiness["accounts"][self.account]["generation"]
        assert isinstance(generation, int), readiness
        return generation

    def _ready(self) -> bool | None:
        return True if status_of(f"{self.admin_url}/readyz") == 200 else None

    def _command(self, *words: str) -> Program:
        return Program(f"jmap-proxy-{words[0]}", [str(_COMMAND), *words], self._folder, self._env)

    def _sign_in(self) -> str:
        login = self._command("login", self.account, "--no-browser").start()
        try:
            Browser().visit(login.line(self._issuer))
            status = login.wait(20)
            assert status == 0, f"login ended with {status}\n{login.said()}"
            return login.line(_KEY_LINE).removeprefix(_KEY_LINE)
        finally:
            login.stop()

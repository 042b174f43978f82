"""The OpenID Provider."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Self, cast

from tests.e2e.fetch import fetch
from tests.e2e.layout import HERE, installed
from tests.e2e.program import Program

if TYPE_CHECKING:
    from pathlib import Path

Counts = dict[str, dict[str, int]]
_PATIENCE = 90.0  # seconds: it looks for large primes first


class Provider:
    """npm oidc-provider: rotation with reuse revocation, tokens in the form that Cyrus takes.

    Args:
        folder: For its files.
        token_life: Seconds that an access token lives.
    """

    issuer: str
    client_id = "jmap-native"
    scopes = ("openid", "offline_access", "urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail")

    def __init__(self, folder: Path, *, token_life: int) -> None:
        self.public_key = folder / "provider.pem"
        script = installed("provider/node_modules").with_name("op.mjs")
        shutil.copyfile(HERE / "provider" / "op.mjs", script)  # node looks for modules beside the script
        self.program = Program("provider", ["node", str(script), str(self.public_key), str(token_life)], folder)

    def __enter__(self) -> Self:
        self.program.start()
        try:
            self.issuer = json.loads(self.program.line('{"issuer"', _PATIENCE))["issuer"]
        except BaseException:
            self.program.stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.program.stop()

    def counts(self, client_id: str) -> Counts:
        """How the token endpoint answered this client: grant type, then result ("ok" or the error code)."""
        return cast("Counts", fetch(f"{self.issuer}/e2e/stats").json().get(client_id, {}))

"""The OpenID Provider behind a front whose URL is its issuer, with tokens that die with their grant."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

from tests.e2e.fetch import Answer, fetch
from tests.e2e.layout import free_ports, installed
from tests.e2e.program import Program
from tests.e2e.provider import Provider

if TYPE_CHECKING:
    from pathlib import Path

LIFE = 3600
"""Seconds that an access token lives unless a test says otherwise."""


class FrontedProvider(Provider):
    """As `Provider`; what the harness itself asks goes past the front.

    Args:
        folder: For its files.
        issuer: The front's URL.
    """

    def __init__(self, folder: Path, *, issuer: str) -> None:
        super().__init__(folder, token_life=LIFE)
        (port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        script = installed("provider/op.mjs")
        argv = ["node", str(script), str(self.public_key), str(LIFE), str(port), issuer]
        self.program = Program("provider", argv, folder)

    def __enter__(self) -> Self:
        super().__enter__()
        self.configure(token_format="opaque")
        return self

    def restart(self) -> None:
        """Ends it and starts it again: with another key, and without anything that it knew."""
        self.__exit__()
        self.__enter__()

    def configure(self, **settings: str | int) -> None:
        """Changes the tokens that it issues from now on."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=20)
        try:
            connection.request("POST", "/e2e/config", json.dumps(settings))
            assert connection.getresponse().status == 200
        finally:
            connection.close()

    def user_of(self, token: str) -> str | None:
        """Whose access token that is, None if it is not good now: what a mail server asks (RFC 7662)."""
        form = {"client_id": "jmap-chain", "token": token}
        told = fetch(f"{self.address}/token/introspection", form=form).json()
        return cast("str", told["sub"]) if told["active"] else None

    def outlive(self, token: str) -> None:
        """Waits until an access token has come to its end."""
        self.program.until(lambda: True if self.user_of(token) is None else None, "the token's end")

    def refresh(self, refresh_token: str) -> Answer:
        """What the token endpoint says to a refresh token that somebody else than the proxy sends."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": "jmap-native"}
        return fetch(f"{self.address}/token", form=form)

"""A TokenSource of one token that nobody renews, for looking at a server once."""

from __future__ import annotations

from jmap_proxy.errors import UpstreamRefusedToken


class FixedToken:
    """One access token.

    Args:
        token: The token.
        refused: What to say where the server refuses it.
        hint: What helps then.
    """

    def __init__(self, token: str, refused: str, hint: str = "") -> None:
        self._token = token
        self._refused = refused
        self._hint = hint

    def token_now(self) -> str:
        """The token."""
        return self._token

    async def ensure_valid_token(self) -> str:
        """The token."""
        return self._token

    async def replace_rejected(self, rejected: str) -> str:
        """There is no other one: raises UpstreamRefusedToken."""
        raise self.refused_again(rejected)

    def refused_again(self, token: str) -> UpstreamRefusedToken:
        """The error that says so."""
        del token
        return UpstreamRefusedToken(self._refused, hint=self._hint)

"""What the forwarding plane needs of an account's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jmap_proxy.errors import UpstreamRefusedToken

if TYPE_CHECKING:
    from jmap_proxy.errors import JmapProxyError


class TokenSource(Protocol):
    """Gives access tokens; each method may raise a TokenError, which is then the client's answer."""

    async def ensure_valid_token(self) -> str:
        """A token that is valid now."""

    async def replace_rejected(self, rejected: str) -> str:
        """A token to use instead of one that the server answered 401 to; may raise UpstreamRefusedToken."""

    def refused_again(self, token: str) -> JmapProxyError:
        """Note that the server refused the replacement too; the error for the client."""


class FixedToken:
    """A source of one token that nobody renews; for the check right after a sign-in."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def ensure_valid_token(self) -> str:
        """The token."""
        return self._token

    async def replace_rejected(self, rejected: str) -> str:
        """There is no other one: raises UpstreamRefusedToken."""
        raise self.refused_again(rejected)

    def refused_again(self, token: str) -> JmapProxyError:
        """The error that says so."""
        del token
        return UpstreamRefusedToken(
            "the server refuses the token that the provider has just given",
            hint="compare the account's scopes, resource and issuer with what the server wants",
        )

"""What the forwarding plane needs of an account's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jmap_proxy.errors import JmapProxyError


class TokenSource(Protocol):
    """Gives access tokens; each method may raise a TokenError, which is then the client's answer."""

    def token_now(self) -> str | None:
        """A token that is valid and will be for a while; None where `ensure_valid_token` has something to do first."""

    async def ensure_valid_token(self) -> str:
        """A token that is valid now."""

    async def replace_rejected(self, rejected: str) -> str:
        """A token to use instead of one that the server answered 401 to; may raise UpstreamRefusedToken."""

    def refused_again(self, token: str) -> JmapProxyError:
        """Note that the server refused the replacement too; the error for the client."""

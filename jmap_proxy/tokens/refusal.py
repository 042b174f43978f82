"""The provider's definite no to a refresh token, as it is noted for whoever starts later. Pure, and holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jmap_proxy.tokens.journal import hash_of
from jmap_proxy.tokens.report import Moment  # noqa: TC001 - msgspec reads the annotation below

if TYPE_CHECKING:
    from jmap_proxy.tokens.tokenset import TokenSet


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that was found to be gone.

    Attributes:
        sign_in_id: Of the tokens that could not be renewed.
        generation: Theirs; a later one shows that the provider has come to another mind.
        refresh_token_hash: SHA-256 of the refresh token that was refused.
        reason: What the user is told.
        refused_at: Epoch seconds.
    """

    sign_in_id: str
    generation: int
    refresh_token_hash: str
    reason: str
    refused_at: Moment

    @classmethod
    def of(cls, tokens: TokenSet, reason: str, refused_at: float) -> Refusal:
        """The refusal to renew these tokens."""
        return cls(
            sign_in_id=tokens.sign_in_id,
            generation=tokens.generation,
            refresh_token_hash=hash_of(tokens.refresh_token),
            reason=reason,
            refused_at=refused_at,
        )

    def concerns(self, tokens: TokenSet) -> bool:
        """Whether it is these that cannot be renewed."""
        return (self.sign_in_id, self.generation, self.refresh_token_hash) == (
            tokens.sign_in_id,
            tokens.generation,
            hash_of(tokens.refresh_token),
        )

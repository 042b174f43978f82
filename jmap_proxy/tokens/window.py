"""When a token is refreshed: the hard and the soft window before its expiry. Pure.

    obtained ───────────── soft ───────── hard ───────────── expires
      fresh: just use it  │ ageing:      │ expiring:        │ expired:
                          │ use it, one  │ callers wait for │ never sent
                          │ refresh runs │ the one refresh  │ anywhere

For a token that lives an hour: soft 300 s to 420 s, hard 60 s before the end. For one that lives 5 s: 3 s and 2.5 s,
since a fixed buffer of 60 s would refresh on every request.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jmap_proxy.tokens.tokenset import TokenSet

TOKEN_EXPIRY_BUFFER = 60.0
"""Seconds before expiry from which callers wait for a new token; never more than half the token's life."""

CLOCK_TOLERANCE = 60.0
"""Seconds that a token may seem to come from the future; more means that the clock was set back since."""

BACKGROUND_BUFFER = 240.0
"""Seconds before that from which a refresh runs in the background; never more than a tenth of the life."""

SPREAD = 0.5
"""Of those seconds, at most as many more: accounts that were signed in together are not refreshed in one second."""


class Freshness(enum.Enum):
    """Where in its life a token is."""

    FRESH = enum.auto()
    AGEING = enum.auto()
    EXPIRING = enum.auto()
    EXPIRED = enum.auto()


@dataclass(frozen=True, slots=True)
class Window:
    """Epoch seconds at which the soft window, the hard window and the token's end come.

    Before `since` the clock must have been set back, so that nobody knows how old the token is: it counts as expiring.
    """

    since: float
    soft_at: float
    hard_at: float
    expires_at: float

    @classmethod
    def of(cls, tokens: TokenSet, jitter: float | None = None) -> Window:
        """The windows of these tokens; where nothing renews them there is nothing to do before the end.

        Args:
            tokens: The tokens.
            jitter: How much of the spread is used, in [0, 1); None: as `share_of` says.
        """
        since = tokens.obtained_at - CLOCK_TOLERANCE
        if not tokens.renewable:
            return cls(since, tokens.expires_at, tokens.expires_at, tokens.expires_at)
        life = max(0.0, tokens.expires_at - tokens.obtained_at)
        hard = min(TOKEN_EXPIRY_BUFFER, life / 2)
        spread = SPREAD * (share_of(tokens) if jitter is None else jitter)
        soft = hard + min(BACKGROUND_BUFFER, life / 10) * (1 + spread)
        return cls(since, tokens.expires_at - soft, tokens.expires_at - hard, tokens.expires_at)

    def freshness(self, now: float) -> Freshness:
        """Where in the token's life `now` (epoch seconds) is."""
        if self.since <= now < self.soft_at:
            return Freshness.FRESH
        if self.since <= now < self.hard_at:
            return Freshness.AGEING
        if now < self.expires_at:
            return Freshness.EXPIRING
        return Freshness.EXPIRED


def share_of(tokens: TokenSet) -> float:
    """A number in [0, 1) that looks random, and is the same in each process: of the account and the generation."""
    name = f"{tokens.account}\0{tokens.sign_in_id}\0{tokens.generation}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32

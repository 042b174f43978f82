"""Lost sign-ins of an account, and what they have in common. Pure.

Providers do not say why a refresh token is refused. A regular interval tells: a test mode of the provider's, or a
maximum session length (measured: Google's "Testing" grants die after 7 days).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jmap_proxy.tokens.report import LAST_MOMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = 86400.0
SPREAD = 0.1
"""Of the interval: lives that differ by no more count as equal; refreshes are hours apart."""

SHORTEST = 3600.0
"""Seconds; what ends earlier was ended by something else than its age."""


class Loss(msgspec.Struct, frozen=True):
    """A sign-in that the provider has ended; epoch seconds."""

    signed_in_at: float
    lost_at: float

    @property
    def life(self) -> float:
        """Seconds from the sign-in to its end."""
        return self.lost_at - self.signed_in_at


def with_loss(known: Sequence[Loss], loss: Loss) -> list[Loss]:
    """The losses with one more, unless that sign-in's is known: each process that is refused notes it."""
    if any(each.signed_in_at == loss.signed_in_at for each in known):
        return list(known)
    return [*known, loss]


def regular_life(losses: Sequence[Loss]) -> float | None:
    """Seconds that sign-ins live, if the last two or more have lived equally long; else None."""
    lives = [loss.life for loss in losses[-3:] if loss.signed_in_at and loss.life >= SHORTEST]
    if len(lives) < 2 or max(lives) - min(lives) > SPREAD * max(lives):  # noqa: PLR2004 - one is no regularity
        return None
    return sum(lives) / len(lives)


def likely_end(losses: Sequence[Loss], signed_in_at: float, now: float) -> float | None:
    """Epoch seconds at which a sign-in is likely to end, None if nothing speaks for a moment to come.

    Args:
        losses: Those of the account, the oldest first.
        signed_in_at: Epoch seconds of the sign-in, 0 if that is not known.
        now: Epoch seconds; a sign-in that has outlived the others does not end as they did.
    """
    life = regular_life(losses)
    if life is None or not signed_in_at or any(loss.signed_in_at == signed_in_at for loss in losses):
        return None
    end = signed_in_at + life
    return end if max(0.0, now) < end <= LAST_MOMENT else None


def likely_cause(losses: Sequence[Loss]) -> str:
    """What the regularity suggests, "" if there is none."""
    life = regular_life(losses)
    if life is None:
        return ""
    if abs(life - 7 * DAY) < SPREAD * 7 * DAY:
        return "each sign-in ends after 7 days: is the provider's app in testing mode? publish it there"
    days = life / DAY
    told = f"{days:.0f} days" if days >= 2 else f"{life / 3600:.0f} hours"  # noqa: PLR2004
    return f"each sign-in ends after {told}: the provider limits the length of a session; it can be set there"

"""Keeping idle accounts signed in: refresh tokens die when they are not used for long.

Measured limits: 30 days (Stalwart), 90 days (Entra), 6 months (Google). Requests renew the tokens of accounts that are
in use; here are the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from jmap_proxy.tokens.window import CLOCK_TOLERANCE, share_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jmap_proxy.tokens.tokenset import TokenSet

DAY = 86400.0

SPREAD = 0.2
"""Of the time that an account may be idle: accounts that were signed in together are not renewed together."""

INTERVAL = 600.0
"""Seconds between two rounds."""

PAUSE = 1.0
"""Seconds between two refreshes of one round."""

PATIENCE = 5.0
"""Seconds for one of them; one that takes longer goes on by itself, and the next account's turn comes."""


class Renewable(Protocol):
    """Somebody whose tokens can be renewed: a TokenRefresher."""

    @property
    def tokens(self) -> TokenSet | None:
        """The current ones."""

    async def renew(self) -> None:
        """Renew them now, and go on with that also if the caller is cancelled. Never raises."""


def renew_at(tokens: TokenSet, idle: float) -> float:
    """Epoch seconds at which an idle account's tokens are to be renewed. Pure.

    Args:
        tokens: The current ones.
        idle: Seconds that they may be left alone; up to a fifth of it is taken off, the same each time one looks.
    """
    return tokens.obtained_at + idle * (1 - SPREAD * share_of(tokens))


def is_due(tokens: TokenSet, idle: float, now: float) -> bool:
    """Whether an idle account's tokens are to be renewed; those that seem to come from the future, too. Pure.

    The clock must have been set back then: nobody knows how old they are, and by it they would be left alone too long.

    Args:
        tokens: The current ones.
        idle: As `renew_at`.
        now: Epoch seconds.
    """
    return not tokens.obtained_at - CLOCK_TOLERANCE <= now < renew_at(tokens, idle)


class KeepAlive:
    """Renews the tokens of idle accounts, one after the other; none holds up the next one for long.

    Args:
        accounts: By name, each with the seconds that it may be idle (0: not renewed).
        clock: Epoch seconds.
        sleep: Waits for so many seconds.
        patience: Seconds for each account.
    """

    def __init__(
        self,
        accounts: Mapping[str, tuple[Renewable, float]],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience: float = PATIENCE,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._sleep = sleep
        self._patience = patience

    async def run(self) -> None:
        """Go round for ever; to be cancelled."""
        while True:
            await self.go_round()
            await self._sleep(INTERVAL)

    async def go_round(self) -> None:
        """Renew what is due."""
        for account, idle in list(self._accounts.values()):
            tokens = account.tokens
            if not idle or tokens is None or not tokens.renewable or not is_due(tokens, idle, self._clock()):
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(account.renew(), self._patience)
            await self._sleep(PAUSE)

"""What `ensure_valid_token` does at a given moment. Pure: a function of the token's freshness and what failed."""

from __future__ import annotations

import enum

from jmap_proxy.tokens.window import Freshness

PATIENCE = 4.0
"""Seconds that a request waits for the identity provider; clients give up after 5 (measured: mujmap, himalaya)."""


class Step(enum.Enum):
    """The next step for a request that needs a token."""

    USE = enum.auto()
    """Send the current token."""

    USE_AND_REFRESH = enum.auto()
    """Send the current token; see to it that a refresh runs in the background."""

    WAIT = enum.auto()
    """Wait for the shared task, which looks into the store and asks the provider unless it is too early for that."""


def decide(freshness: Freshness, *, renewable: bool, backing_off: bool) -> Step:
    """The next step.

    Args:
        freshness: Of the current token; EXPIRED where there is none.
        renewable: False once the provider has definitely refused the refresh token.
        backing_off: The last refresh failed for a passing reason and its waiting time is not over.
    """
    if freshness is Freshness.FRESH:
        return Step.USE
    if freshness is Freshness.EXPIRED:
        return Step.WAIT
    if backing_off or not renewable:
        return Step.USE
    return Step.USE_AND_REFRESH if freshness is Freshness.AGEING else Step.WAIT


def longest_wait(freshness: Freshness, patience: float) -> float:
    """Seconds to wait for a new token: who has a living one to send does not wait longer than clients do.

    Args:
        freshness: Of the current token.
        patience: Seconds that the caller would wait.
    """
    return patience if freshness is Freshness.EXPIRED else min(patience, PATIENCE)

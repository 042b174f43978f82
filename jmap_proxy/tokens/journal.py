"""The journal of refreshes: what was asked of the provider, noted before it is asked.

An answer can be lost: the process is killed, the connection breaks. Then nobody here knows whether the provider has
spent the refresh token; the note tells that the outcome is open. It holds no secret. All of it is pure.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from jmap_proxy.tokens.report import Moment  # noqa: TC001 - msgspec reads the annotation below
from jmap_proxy.tokens.window import Freshness

if TYPE_CHECKING:
    from jmap_proxy.tokens.tokenset import TokenSet

Replay = Literal["strict", "grace"]
"""What a provider does about a refresh token that comes twice: revoke the sign-in (RFC 9700 §4.14.2), or answer
again for a short while."""

GRACE = 30.0
"""Seconds after a lost answer in which it is asked for again at once; the shortest grace of those known (Okta)."""


SCHEMA_VERSION = 1
"""Of the note's form."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh whose outcome is not known.

    Attributes:
        sign_in_id: Of the tokens that were to be renewed.
        generation: Theirs.
        refresh_token_hash: SHA-256 of the refresh token that was sent.
        asked_at: Epoch seconds.
        schema_version: Version of this form; what a note of a newer form says otherwise is not known.
    """

    sign_in_id: str
    generation: int
    refresh_token_hash: str
    asked_at: Moment
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, tokens: TokenSet, asked_at: float) -> Attempt:
        """The attempt to renew these tokens."""
        return cls(
            sign_in_id=tokens.sign_in_id,
            generation=tokens.generation,
            refresh_token_hash=hash_of(tokens.refresh_token),
            asked_at=asked_at,
        )

    def concerns(self, tokens: TokenSet) -> bool:
        """Whether the refresh token of these is the one that may have been spent, as far as this program can tell."""
        if self.schema_version > SCHEMA_VERSION:
            return True
        return self.sign_in_id == tokens.sign_in_id and self.refresh_token_hash == hash_of(tokens.refresh_token)


class _Form(msgspec.Struct):
    """What a note of any form has."""

    schema_version: int = SCHEMA_VERSION


def read_attempt(raw: bytes) -> Attempt | None:
    """A note as it was written; None for one that cannot be understood.

    One of a newer form says at least that something is open.
    """
    try:
        version = msgspec.json.decode(raw, type=_Form).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    try:
        return msgspec.json.decode(raw, type=Attempt)
    except msgspec.DecodeError:
        if version <= SCHEMA_VERSION:
            return None
    return Attempt(sign_in_id="", generation=0, refresh_token_hash="", asked_at=0.0, schema_version=version)


def hash_of(refresh_token: str) -> str:
    """A name for a refresh token that tells nothing about it."""
    return hashlib.sha256(b"jmap-proxy attempt\0" + refresh_token.encode()).hexdigest()


def may_ask(
    attempt: Attempt | None, tokens: TokenSet, replay: Replay, freshness: Freshness, now: float, *, refused: bool
) -> bool:
    """Whether to ask the provider now, although an earlier answer may have been lost.

    A strict provider takes a refresh token that comes twice for stolen and revokes the whole sign-in, the living
    access token included. So that one is used up first; then there is nothing left to lose.

    Args:
        attempt: The latest one whose outcome is open, None if there is none.
        tokens: To be renewed.
        replay: What the provider does about a replay.
        freshness: Of the access token.
        now: Epoch seconds.
        refused: The server has refused the access token.
    """
    if attempt is None or not attempt.concerns(tokens) or tokens.rotation == "no" or not tokens.refresh_token:
        return True
    if may_replay(attempt, replay, now):
        return True
    return refused or freshness is Freshness.EXPIRED


def may_replay(attempt: Attempt, replay: Replay, now: float) -> bool:
    """Whether the provider gives the lost answer once more."""
    return replay == "grace" and 0 <= now - attempt.asked_at < GRACE

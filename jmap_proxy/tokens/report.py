"""What there is to tell about an account's tokens: for health, `status` and logs. Holds no secret."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

LAST_MOMENT = 253402300799.0
"""The end of the year 9999 in epoch seconds, where calendars end."""

Moment = Annotated[float, msgspec.Meta(ge=0, le=LAST_MOMENT)]
"""Epoch seconds that a calendar knows."""


class State(enum.Enum):
    """How an account is doing."""

    OK = "ok"
    RETRYING = "retrying"
    """The last refresh failed for a passing reason; it is tried again."""

    UNSAVED = "unsaved"
    """The tokens are good, but the last ones could not be written to disk."""

    STORE_ERROR = "store_error"
    """The stored tokens cannot be read; the file is left as it is."""

    CLIENT_REFUSED = "client_refused"
    """The provider does not accept the client, or what it asks for; the tokens are kept and it is tried again."""

    NEEDS_LOGIN = "needs_login"
    """Only a new sign-in helps."""


class TokenReport(msgspec.Struct, frozen=True, kw_only=True):
    """How an account is doing at one moment; times are epoch seconds, None where there is none.

    Attributes:
        clock_ahead: Seconds that this machine's clock is ahead of the provider's, None if that is not known.
        answer_lost: A refresh was asked for and its answer never came, so the refresh token may be spent.
        likely_end_at: When the sign-in is likely to end, since those before it have all lived equally long.
    """

    state: State
    issuer: str = ""
    generation: int = 0
    obtained_at: Moment | None = None
    expires_at: Moment | None = None
    next_refresh_at: Moment | None = None
    last_error: str = ""
    last_error_at: Moment | None = None
    clock_ahead: float | None = None
    answer_lost: bool = False
    likely_end_at: Moment | None = None

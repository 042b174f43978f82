"""What `jmap-proxy status` tells: the store's view and, where a proxy is running, the proxy's. Pure, no secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from jmap_proxy.tokens.losses import likely_cause, likely_end
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.standing import clock_day
from jmap_proxy.tokens.window import CLOCK_TOLERANCE, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jmap_proxy.tokens.losses import Loss
    from jmap_proxy.tokens.refusal import Refusal
    from jmap_proxy.tokens.report import TokenReport
    from jmap_proxy.tokens.tokenset import TokenSet


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One account; times are epoch seconds.

    Attributes:
        told_by: "proxy" if a running proxy told the state, else "store".
        local_key: Whether clients have a key to come in with.
        likely_cause: Why the sign-ins before this one have ended, "" if nothing is known.
    """

    server: str
    issuer: str
    state: State
    told_by: str
    local_key: bool
    generation: int = 0
    scope: str = ""
    renewable: bool = False
    obtained_at: float | None = None
    expires_at: float | None = None
    next_refresh_at: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    clock_ahead: float | None = None
    answer_lost: bool = False
    likely_end_at: float | None = None
    likely_cause: str = ""


def account_status(
    *,
    server: str,
    issuer: str,
    local_key: bool,
    stored: TokenSet | None,
    store_error: str,
    live: TokenReport | None,
    now: float,
    losses: Sequence[Loss] = (),
    refusal: Refusal | None = None,
) -> AccountStatus:
    """How an account is doing.

    Args:
        server: Of the configuration.
        issuer: Of the configuration.
        local_key: Whether there is a local key.
        stored: The stored tokens.
        store_error: Why they cannot be read, "" if they can.
        live: What /readyz of a running proxy tells of the account.
        now: Epoch seconds.
        losses: Sign-ins of the account that were lost.
        refusal: The provider's last definite no, None if there is none.
    """
    status = AccountStatus(
        server=server,
        issuer=issuer,
        local_key=local_key,
        told_by="store",
        state=State.STORE_ERROR if store_error else _stored_state(stored, now),
        last_error=store_error,
    )
    if stored is not None:
        status = msgspec.structs.replace(
            status,
            generation=stored.generation,
            scope=stored.scope,
            renewable=stored.renewable,
            obtained_at=stored.obtained_at,
            expires_at=stored.expires_at,
            next_refresh_at=Window.of(stored).soft_at if stored.renewable else None,
            likely_end_at=likely_end(losses, stored.signed_in_at, now),
            likely_cause=likely_cause(losses),
        )
    if live is not None:
        fields = msgspec.structs.asdict(live) | {"issuer": issuer}
        status = msgspec.structs.replace(status, told_by="proxy", **fields)
        if store_error:
            return msgspec.structs.replace(status, last_error=store_error)
    if stored is None or refusal is None or not refusal.concerns(stored) or status.generation != stored.generation:
        return status
    return msgspec.structs.replace(  # the proxy may not have had to find out yet
        status, state=State.NEEDS_LOGIN, last_error=refusal.reason, last_error_at=refusal.refused_at
    )


def in_words(moment: float | None, now: float) -> str:
    """A time as a person reads it: "in 42 s", "3 min ago", or the date when it is far."""
    if moment is None:
        return "-"
    distance = abs(moment - now)
    if distance < 1:
        return "now" if moment > now else "just now"
    if distance < 120:  # noqa: PLR2004
        amount = f"{distance:.0f} s"
    elif distance < 7200:  # noqa: PLR2004
        amount = f"{distance / 60:.0f} min"
    elif distance < 172800:  # noqa: PLR2004
        amount = f"{distance / 3600:.0f} h"
    else:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
    return f"in {amount}" if moment > now else f"{amount} ago"


def clock_warnings(accounts: Mapping[str, AccountStatus]) -> list[str]:
    """A line for each account whose provider's clock says something else than this machine's."""
    warnings = []
    for name, account in accounts.items():
        ahead = account.clock_ahead or 0.0
        if abs(ahead) > CLOCK_TOLERANCE:
            way = "ahead of" if ahead > 0 else "behind"
            warnings.append(f"{name}: this machine's clock is {abs(ahead):.0f} s {way} the provider's; set it right.")
    return warnings


def foretold_ends(accounts: Mapping[str, AccountStatus]) -> list[str]:
    """A line for each account whose sign-ins have ended at regular intervals."""
    return [
        f"{name}: likely next sign-in needed on {clock_day(account.likely_end_at)}, "
        f"{account.likely_cause or 'as the sign-ins before it ended'}."
        for name, account in accounts.items()
        if account.likely_end_at is not None
    ]


def _stored_state(stored: TokenSet | None, now: float) -> State:
    if stored is None or (not stored.renewable and now >= stored.expires_at):
        return State.NEEDS_LOGIN
    return State.OK

"""This machine's clock against those of the servers, by their Date (RFC 9110 §6.6.1). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Finding, error, ok, warning
from jmap_proxy.oauth.answer import parse_date
from jmap_proxy.tokens.window import CLOCK_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping


def seconds_ahead(date: str | None, asked_at: float, answered_at: float) -> float | None:
    """How much our clock is ahead of a server's, as little as can be; None where the server does not tell.

    Args:
        date: The value of Date; the server wrote it between the two moments.
        asked_at: Epoch seconds by our clock.
        answered_at: The same.
    """
    told = parse_date(date)
    if told is None:
        return None
    return max(0.0, asked_at - told) + min(0.0, answered_at - told)


def judge_clocks(ahead: Mapping[str, float]) -> list[Finding]:
    """What the clocks of several servers tell together.

    Args:
        ahead: By server, the seconds that our clock is ahead of its.
    """
    wrong = {server: seconds for server, seconds in ahead.items() if abs(seconds) > CLOCK_TOLERANCE}
    if not ahead:
        return []
    if not wrong:
        return [ok("clock", "as that of the servers")]
    servers, seconds = " and ".join(wrong), next(iter(wrong.values()))
    way = "ahead of" if seconds > 0 else "behind"
    what = f"this machine's clock is {abs(seconds):.0f} s {way} that of {servers}"
    if len(wrong) == len(ahead):
        return [error("clock", what, "set it right, for example with: timedatectl set-ntp true")]
    right = " and ".join(server for server in ahead if server not in wrong)
    return [
        warning("clock-of-server", f"{what}, but agrees with {right}", f"ask whoever runs {servers} to set it right")
    ]

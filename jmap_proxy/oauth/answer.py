"""What an answer of the token endpoint means (RFC 6749 §5), with the traps that real providers set. Pure.

Only a definite no is `Rejected`; whatever is unclear is `Transient`, since a token is never thrown away on a guess.
No text of the provider's is repeated: error descriptions have been seen to hold the refresh token.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeGuard

from jmap_proxy.oauth.fields import json_object, printable
from jmap_proxy.retry_after import parse_retry_after
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Rejected, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping

ASSUMED_LIFE = 3600.0
"""Seconds for an answer without a usable `expires_in`; if it was less, the server's 401 tells."""

LONGEST_LIFE = 365 * 86400.0
"""Seconds; what claims to live longer is asked for anew after a year."""

CLIENT_REFUSED = frozenset(
    {
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""What trying again alone does not mend: the client's settings, here or at the provider (RFC 6749 §5.2, RFC 8707)."""

NOT_NOW = frozenset({"temporarily_unavailable"})
"""Error codes by which the provider says that it has not done anything."""

LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
"""Statuses that ask to come again, whatever the body says."""

GRANT_GONE = frozenset({"invalid_grant"})
KNOWN_ERRORS = frozenset(
    {
        "access_denied",
        "authorization_pending",
        "expired_token",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)


def parse_token_answer(status: int, headers: Mapping[str, str], body: bytes, *, now: float) -> Outcome:
    """The outcome of a token request.

    Args:
        status: HTTP status.
        headers: Case-insensitive; Retry-After is read.
        body: As it came.
        now: Epoch seconds, for a Retry-After that is a date.
    """
    fields, date = json_object(body), parse_date(headers.get("Date"))
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return _parse_success(fields, date)
    error = fields.get("error")
    known = error if isinstance(error, str) and error in KNOWN_ERRORS else ""
    told = known or "no known error code"
    if told in GRANT_GONE and not fields.get("temporary") and 400 <= status < 500 and status not in LATER:  # noqa: PLR2004
        return Rejected(told, provider_time=date)
    return Transient(
        f"the token endpoint answers {status} ({told})",
        parse_retry_after(headers.get("Retry-After"), now if date is None else date),
        answer_lost=status >= HTTPStatus.INTERNAL_SERVER_ERROR and not _is_put_off(status, headers, told),
        client_refused=told in CLIENT_REFUSED and not fields.get("temporary"),
        provider_time=date,
        error=known,
    )


def parse_life(value: Any) -> float:
    """Seconds of life by `expires_in`, which some providers send as a string, as 0 or not at all."""
    try:
        life = float(value)
    except (TypeError, ValueError, OverflowError):
        return ASSUMED_LIFE
    if isinstance(value, bool) or not 0 < life < float("inf"):
        return ASSUMED_LIFE
    return min(life, LONGEST_LIFE)


def _is_put_off(status: int, headers: Mapping[str, str], told: str) -> bool:
    """Whether a 5xx says that nothing was done: else a gateway may have lost the provider's answer."""
    return told in NOT_NOW or (status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in headers)


def parse_date(value: str | None) -> float | None:
    """Epoch seconds of a Date field (RFC 9110 §6.6.1), None if it says nothing."""
    try:
        return parsedate_to_datetime(value or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _parse_success(fields: dict[str, Any], date: float | None) -> Outcome:
    access_token = fields.get("access_token")
    if not _is_token(access_token):
        reason = "the token endpoint answers 200 without a usable access_token"
        return Transient(reason, answer_lost=True, provider_time=date)
    token_type = fields.get("token_type", "Bearer")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        reason = "the token endpoint gives a token that is not a bearer token"
        return Transient(reason, answer_lost=True, provider_time=date)
    return Refreshed(
        access_token=access_token,
        refresh_token=printable(fields.get("refresh_token")),
        life=parse_life(fields.get("expires_in")),
        scope=printable(fields.get("scope")),
        id_token=printable(fields.get("id_token")),
        provider_time=date,
    )


def _is_token(value: Any) -> TypeGuard[str]:
    """Whether it can stand in a header field: visible ASCII (RFC 6749 appendix A.12; no space can survive there)."""
    return isinstance(value, str) and bool(value) and all("!" <= character <= "~" for character in value)

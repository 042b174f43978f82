"""The device flow (RFC 8628): what the provider gives to show, and when to ask whether the user has decided. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.answer import KNOWN_ERRORS
from jmap_proxy.oauth.fields import json_object
from jmap_proxy.oauth.http import check_endpoint
from jmap_proxy.tokens.outcome import Rejected

if TYPE_CHECKING:
    from jmap_proxy.tokens.outcome import Transient

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

DEFAULT_INTERVAL = 5.0
"""Seconds between polls where the provider does not say (RFC 8628 §3.2)."""

SLOWER = 5.0
"""Seconds that `slow_down` adds for good (RFC 8628 §3.5)."""

LONGEST_INTERVAL = 60.0
"""Seconds to which answers that do not come double the interval."""

ASSUMED_LIFE = 600.0
"""Seconds of a code whose provider does not say, although it must."""

LONGEST_LIFE = 3600.0
"""Seconds; no user takes longer."""

LONGEST_TEXT = 8000
"""Characters; some device codes are signed tokens."""
LONGEST_USER_CODE = 64
"""Characters; RFC 8628 §6.1 recommends eight."""


@dataclass(frozen=True, slots=True)
class DevicePrompt:
    """What the user is shown.

    Attributes:
        verification_uri: Where to go.
        verification_uri_complete: The same with the code in it, "" if there is none.
        user_code: What to enter there.
    """

    verification_uri: str
    verification_uri_complete: str = field(repr=False)
    user_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What was begun.

    Attributes:
        prompt: For the user.
        device_code: For the polls.
        life: Seconds until it is of no use any more.
        interval: Seconds between polls.
    """

    prompt: DevicePrompt
    device_code: str = field(repr=False)
    life: float
    interval: float


def read_device_answer(status: int, body: bytes, issuer: str) -> DeviceRequest:
    """What the device authorization endpoint answers (RFC 8628 §3.2).

    Raises:
        SignInError: a refusal, or an answer that cannot be used.
        ProviderError: the page for the user is neither on https nor on this machine.
    """
    fields = json_object(body)
    if status != HTTPStatus.OK:
        error = fields.get("error")
        told = error if isinstance(error, str) and error in KNOWN_ERRORS else f"it answers {status}"
        hint = ("check the client_id, or " if told == "invalid_client" else "") + "use --no-browser or --paste"
        raise SignInError(f"{issuer} begins no sign-in on another device ({told})", hint=hint)
    # verification_url: drafts before the RFC, and whoever kept to them (measured: Google)
    uri = _text(fields.get("verification_uri") or fields.get("verification_url"))
    device_code, user_code = _text(fields.get("device_code")), _text(fields.get("user_code"))
    if not (uri and device_code and 0 < len(user_code) <= LONGEST_USER_CODE):
        raise SignInError(f"{issuer} answers without a code or a place to enter it", hint="use --no-browser or --paste")
    check_endpoint(_without_fragment(uri))
    life = min(_seconds(fields.get("expires_in"), ASSUMED_LIFE), LONGEST_LIFE)
    interval = _seconds(fields.get("interval"), DEFAULT_INTERVAL)
    return DeviceRequest(
        DevicePrompt(uri, _safe(_text(fields.get("verification_uri_complete"))), user_code),
        device_code,
        life=life,
        interval=interval if interval < life else DEFAULT_INTERVAL,  # else nobody could ever sign in: no seconds
    )


def interval_after(outcome: Transient | Rejected, interval: float) -> float:
    """Seconds to wait before the next poll (RFC 8628 §3.5); no answer makes the waiting longer, too.

    Args:
        outcome: Of the last one.
        interval: Seconds that were waited before it.

    Raises:
        SignInError: there is nothing to wait for any more.
    """
    if isinstance(outcome, Rejected):
        raise SignInError(f"the provider does not know the code any more ({outcome.error})", hint="run it again")
    if outcome.error == "access_denied":
        raise SignInError("the sign-in was refused (access_denied)", hint="sign in again and agree to what is asked")
    if outcome.error == "expired_token":
        raise expired()
    if outcome.client_refused:
        raise SignInError(
            f"the provider does not let this client sign in on another device: {outcome.reason}",
            hint="use --no-browser or --paste",
        )
    if outcome.error == "slow_down":
        interval += SLOWER
    elif outcome.error != "authorization_pending":
        interval = max(interval, min(2 * interval, LONGEST_INTERVAL))
    return interval


def expired() -> SignInError:
    """The code has come to its end."""
    return SignInError("nobody entered the code in time (expired_token)", hint="run it again; there will be a new code")


def _safe(uri: str) -> str:
    """A URL that may be shown as a picture, "" for another."""
    try:
        check_endpoint(_without_fragment(uri))
    except ProviderError:
        return ""
    return uri


def _without_fragment(uri: str) -> str:
    """The page for the user may be one of a web application, which has its pages behind a "#"."""
    return uri.partition("#")[0]


def _seconds(value: Any, default: float) -> float:
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= len("31536000") else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_LIFE * 24:
        return default
    return float(value)


def _text(value: Any) -> str:
    """Printable text of no absurd length, "" for whatever else: it is shown in a terminal."""
    return value if isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_TEXT else ""

"""Device codes: what a device waits for while its user decides elsewhere (RFC 8628).

Pure rules over values in memory: no HTTP, and the clock is an argument.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmap_proxy.sandbox.grants import Grant, GrantError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.provider_settings import ProviderSettings

DEFAULT_INTERVAL = 5
"""Seconds between polls where nothing is said (RFC 8628 §3.2)."""
SLOWER = 5
"""Seconds that `slow_down` adds (RFC 8628 §3.5)."""
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no code is a word (RFC 8628 §6.1)."""


@dataclass
class DeviceRequest:
    """What one device waits for.

    Attributes:
        client_id: Whose device it is.
        scope: What it asked for.
        user_code: What its user types.
        device_code: What it polls with.
        interval: Seconds that it must wait between polls.
        expires_at: Seconds since the epoch.
        grant: What the user allowed; None until then.
        denied: Whether the user refused.
        polled_at: Seconds since the epoch of the last poll, None before the first.
    """

    client_id: str
    scope: str
    user_code: str
    device_code: str = field(repr=False)
    interval: float
    expires_at: float
    grant: Grant | None = None
    denied: bool = False
    polled_at: float | None = None


class DeviceCodes:
    """Every device code of one provider.

    Args:
        settings: Life and interval, read anew for each new code.
        clock: Returns the time in seconds since the epoch.

    Attributes:
        slow_downs: How many of the next polls get `slow_down`, however late they come.
    """

    def __init__(self, settings: ProviderSettings, clock: Callable[[], float]) -> None:
        self.slow_downs = 0
        self._settings = settings
        self._clock = clock
        self._requests: dict[str, DeviceRequest] = {}

    def start(self, client_id: str, scope: str) -> DeviceRequest:
        """Fresh codes for a device."""
        said = self._settings.device_interval
        code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        request = DeviceRequest(
            client_id,
            scope,
            f"{code[:4]}-{code[4:]}",
            secrets.token_urlsafe(32),
            DEFAULT_INTERVAL if said is None else said,
            self._clock() + self._settings.device_code_life,
        )
        self._requests[request.device_code] = request
        return request

    def undecided(self, user_code: str) -> DeviceRequest | None:
        """The request that a user decides on, None if the code is unknown, expired or used.

        Args:
            user_code: As typed: in any case, with whatever between the letters.
        """
        for request in self._requests.values():
            open_still = request.grant is None and not request.denied and self._clock() < request.expires_at
            if open_still and _letters(request.user_code) == _letters(user_code):
                return request
        return None

    def poll(self, device_code: str, client_id: str) -> Grant:
        """What the user has allowed; the code is good for that once.

        Raises:
            GrantError: `authorization_pending`, `slow_down`, `access_denied`, `expired_token` or `invalid_grant`.
        """
        request = self._requests.get(device_code)
        if request is None or request.client_id != client_id:
            raise GrantError("invalid_grant", "the device code is unknown or was used before")
        self._check_pace(request)
        if request.denied:
            raise GrantError("access_denied", self._settings.error_description or "the user refused")
        if self._clock() >= request.expires_at:
            raise GrantError("expired_token", "the device code has expired")
        if request.grant is None:
            raise GrantError("authorization_pending", "the user has not decided yet")
        del self._requests[device_code]
        return request.grant

    def _check_pace(self, request: DeviceRequest) -> None:
        now, last = self._clock(), request.polled_at
        request.polled_at = now
        if self.slow_downs:
            self.slow_downs -= 1
        elif last is None or now >= last + request.interval:
            return
        request.interval += SLOWER
        raise GrantError("slow_down", f"wait {request.interval} seconds between polls")


def _letters(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter in _LETTERS)

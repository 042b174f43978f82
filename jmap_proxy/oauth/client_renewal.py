"""Renewing tokens whose client was registered by itself, and which the provider may forget.

A refresh token is bound to its client (RFC 6749 §6), so most providers give a new client nothing for it. It is tried
all the same, once in a while: the provider has just said that it does not know the old one, so nothing is lost by it.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import structlog

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.registration import is_known, register, remove
from jmap_proxy.tokens.outcome import Outcome, Refreshed, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jmap_proxy.oauth.discovery import Discovery
    from jmap_proxy.oauth.http import ProviderHttp
    from jmap_proxy.oauth.token_endpoint import TokenEndpoint
    from jmap_proxy.tokens.registration import Registration
    from jmap_proxy.tokens.tokenset import TokenSet

PAUSE = 3600.0
"""Seconds between two registrations for one account: a provider that is out of order gets no storm of them."""

CLIENT_NAME = "jmap-proxy"

REASON = (
    "the provider does not accept the client any more that registered itself for this account (invalid_client), "
    "and the sign-in is that client's"
)

log = structlog.get_logger("jmap_proxy.oauth")


class ClientRenewal:
    """Asks a token endpoint for new tokens, as a new client where the provider has forgotten the old one.

    Args:
        endpoint: To ask.
        http: For registrations.
        discovery: Knows where to register.
        scopes: What a new client will ask for at the next sign-in, beside what was granted.
        clock: Epoch seconds.
        may_register: Whether to register a new client; a program that lives a moment would do it each time.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        http: ProviderHttp,
        discovery: Discovery,
        scopes: Sequence[str],
        clock: Callable[[], float],
        *,
        may_register: bool = True,
    ) -> None:
        self._endpoint = endpoint
        self._http = http
        self._discovery = discovery
        self._scopes = scopes
        self._clock = clock
        self._may_register = may_register
        self._tried_at: float | None = None

    async def refresh(self, tokens: TokenSet) -> Outcome:
        """New tokens. What goes wrong with a new client leaves the tokens and the old client as they are."""
        outcome, registration = await self._endpoint.refresh(tokens), tokens.registration
        if registration is None or not isinstance(outcome, Transient) or outcome.error != "invalid_client":
            return outcome
        now, anew = self._clock(), None
        if self._may_register and (self._tried_at is None or abs(now - self._tried_at) >= PAUSE):
            self._tried_at = now
            with contextlib.suppress(ProviderError, SignInError):
                anew = await self._as_new_client(tokens, registration)
        return anew or replace(outcome, reason=REASON, mend=f"run: jmap-proxy login {tokens.account}")

    async def _as_new_client(self, tokens: TokenSet, forgotten: Registration) -> Outcome | None:
        """What a new client is given for the old one's refresh token, None if nothing.

        Raises:
            ProviderError, SignInError: there is no new client.
        """
        metadata = await self._discovery.metadata(forgotten.issuer)
        if not metadata.registration_endpoint:
            return None
        if await is_known(forgotten, metadata, self._http, now=self._clock()):
            return None  # it is something else that the provider does not like: login finds out
        granted = tokens.scope.split()
        registration = await register(
            metadata,
            self._http,
            redirect_uris=forgotten.redirect_uris,
            scopes=tuple(dict.fromkeys((*granted, *self._scopes))) if granted else (),
            client_name=CLIENT_NAME,
            now=self._clock(),
        )
        heir = msgspec.structs.replace(tokens, client_id=registration.client_id, registration=registration)
        outcome = await self._endpoint.refresh(heir)
        if isinstance(outcome, Refreshed):
            log.info("the provider had forgotten the client, a new one goes on", account=tokens.account)
            return replace(outcome, registration=registration)
        if isinstance(outcome, Transient) and outcome.answer_lost:
            return outcome
        with contextlib.suppress(ProviderError):
            await remove(registration, self._http)
        return None

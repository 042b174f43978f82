"""Signing in: with a browser here or elsewhere, on another device, or without a user.

RFC 6749 §4.1 with PKCE (RFC 7636) and a loopback redirect (RFC 8252), RFC 8628, RFC 6749 §4.4.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Literal

import structlog

from jmap_proxy.errors import SignInError
from jmap_proxy.oauth.authorization import (
    Attempt,
    authorization_request,
    authorization_url,
    is_for,
    read_callback,
    read_pushed,
)
from jmap_proxy.oauth.device import expired, interval_after, read_device_answer
from jmap_proxy.oauth.id_token import check_id_token
from jmap_proxy.oauth.keys import ProviderKeys
from jmap_proxy.oauth.loopback import CALLBACK, LoopbackRedirect
from jmap_proxy.oauth.pasted import parse_pasted, why_not
from jmap_proxy.tokens.outcome import Refreshed, Rejected, Transient
from jmap_proxy.tokens.tokenset import TokenSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jmap_proxy.oauth.client import OAuthClient
    from jmap_proxy.oauth.device import DevicePrompt, DeviceRequest
    from jmap_proxy.oauth.discovery import Discovery
    from jmap_proxy.oauth.http import ProviderHttp
    from jmap_proxy.oauth.metadata import ProviderMetadata
    from jmap_proxy.oauth.token_endpoint import TokenEndpoint
    from jmap_proxy.tokens.outcome import Outcome

    ReadLine = Callable[[], Awaitable[str]]
    """Gives a line that the user has typed or pasted, "" at the end of the input."""

FIRST_FREE_PORT, LAST_PORT = 49152, 65535
"""Where a kernel takes ports from (RFC 6335 §6)."""

log = structlog.get_logger("jmap_proxy.oauth")


def _nothing(_text: str) -> None:
    """Tell nobody."""


class SignIn:
    """One client's ways to sign in at its provider. What each returns is not saved yet.

    All raise SignInError (refused, or an answer that does not hold) and ProviderError (the provider cannot be reached,
    or its metadata cannot be trusted).

    Args:
        client: Who asks, and for what.
        http: For the requests.
        discovery: Knows the endpoints.
        endpoint: Exchanges what was got for tokens.
        clock: Epoch seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        client: OAuthClient,
        http: ProviderHttp,
        discovery: Discovery,
        endpoint: TokenEndpoint,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._http = http
        self._discovery = discovery
        self._endpoint = endpoint
        self._clock = clock
        self._sleep = sleep
        self._keys = ProviderKeys(http, discovery)

    async def by_browser(
        self,
        account: str,
        show_url: Callable[[str], None],
        *,
        login_hint: str = "",
        read_line: ReadLine | None = None,
        tell: Callable[[str], None] = _nothing,
    ) -> TokenSet:
        """By a browser on this machine: hand it the URL, wait for it to come back, exchange the code.

        Args:
            account: Whose tokens they will be.
            show_url: Sends the browser to the URL.
            login_hint: Who it shall be, as the provider knows them.
            read_line: Gives what the user pastes where the browser does not find the way back: some providers forget
                the port.
            tell: Says what is wrong with what was pasted.
        """
        metadata, attempt = await self._discovery.metadata(self._client.issuer), _attempt()
        async with LoopbackRedirect(
            lambda parameters: is_for(parameters, attempt),
            lambda parameters: read_callback(parameters, metadata),
        ) as redirect:
            uri = redirect.redirect_uri
            show_url(await self._url(metadata, attempt, uri, login_hint))
            pasting = asyncio.create_task(_offer_pasted(redirect, attempt, read_line, tell)) if read_line else None
            try:
                code = await redirect.wait()
            finally:
                if pasting is not None:
                    pasting.cancel()
        return await self._by_code(account, code, uri, attempt)

    async def by_paste(
        self,
        account: str,
        show_url: Callable[[str], None],
        read_line: ReadLine,
        *,
        login_hint: str = "",
        tell: Callable[[str], None] = _nothing,
    ) -> TokenSet:
        """By a browser anywhere: it ends at an address of its own machine, which the user pastes.

        Args:
            account: Whose tokens they will be.
            show_url: Shows the URL to the user.
            read_line: Gives what the user pastes.
            login_hint: Who it shall be, as the provider knows them.
            tell: Says what is wrong with what was pasted; then the next line is read.
        """
        metadata, attempt = await self._discovery.metadata(self._client.issuer), _attempt()
        port = FIRST_FREE_PORT + secrets.randbelow(LAST_PORT - FIRST_FREE_PORT + 1)
        uri = f"http://127.0.0.1:{port}{CALLBACK}"
        show_url(await self._url(metadata, attempt, uri, login_hint))
        parameters = await _pasted(attempt, read_line, tell)
        return await self._by_code(account, read_callback(parameters, metadata), uri, attempt)

    async def by_device(self, account: str, show_prompt: Callable[[DevicePrompt], None]) -> TokenSet:
        """On another device: show the user where to go and what to enter there, ask until they have decided.

        Args:
            account: Whose tokens they will be.
            show_prompt: Shows the user where to go, and the code.
        """
        ends_at = self._clock()
        request = await self._begin_on_device()
        ends_at += request.life
        show_prompt(request.prompt)
        answer, asked_at = await self._poll(request, ends_at)
        subject = await self._subject(answer.id_token, None)
        return self._first_generation(account, answer, subject, asked_at)

    async def by_client_credentials(self, account: str) -> TokenSet:
        """Without a user: the client signs in as itself; it is asked so again when the token is due.

        Args:
            account: Whose tokens they will be.
        """
        asked_at = self._clock()
        answer = _given(await self._endpoint.ask_as_client(), "client")
        return self._first_generation(account, answer, "", asked_at, "client_credentials")

    async def _url(self, metadata: ProviderMetadata, attempt: Attempt, redirect_uri: str, login_hint: str) -> str:
        """Where the browser begins; where the provider wants that, it is told of it beforehand (RFC 9126)."""
        client = self._client
        query = authorization_request(metadata, client, attempt, redirect_uri=redirect_uri, login_hint=login_hint)
        if metadata.require_pushed_authorization_requests:
            if not metadata.pushed_authorization_request_endpoint:
                raise SignInError(
                    f"{client.issuer} wants sign-ins to be announced (RFC 9126), but does not say where",
                    hint="use --device if it offers that, or ask whoever runs the provider",
                )
            form, headers = client.authenticate(metadata, query, self._clock())
            answer = await self._http.post_form(metadata.pushed_authorization_request_endpoint, form, headers)
            query = {"client_id": client.client_id, "request_uri": read_pushed(answer.status, answer.body, metadata)}
        return authorization_url(metadata, query)

    async def _by_code(self, account: str, code: str, redirect_uri: str, attempt: Attempt) -> TokenSet:
        asked_at = self._clock()
        verifier = attempt.code_verifier
        outcome = await self._endpoint.exchange_code(code, redirect_uri=redirect_uri, code_verifier=verifier)
        answer = _given(outcome, "code")
        subject = await self._subject(answer.id_token, attempt.nonce)
        return self._first_generation(account, answer, subject, asked_at)

    async def _begin_on_device(self) -> DeviceRequest:
        """What the provider gives to show (RFC 8628 §3.1)."""
        client = self._client
        metadata = await self._discovery.metadata(client.issuer)
        if not metadata.device_authorization_endpoint:
            raise SignInError(
                f"{client.issuer} offers no sign-in on another device (RFC 8628)", hint="use --no-browser or --paste"
            )
        wanted = {"scope": " ".join(client.scopes), "resource": client.resource}
        asked = {name: value for name, value in wanted.items() if value}
        form, headers = client.authenticate(metadata, asked, self._clock())
        answer = await self._http.post_form(metadata.device_authorization_endpoint, form, headers)
        return read_device_answer(answer.status, answer.body, client.issuer)

    async def _poll(self, request: DeviceRequest, ends_at: float) -> tuple[Refreshed, float]:
        """What the provider gives once the user has decided, and when it was asked; moments in epoch seconds."""
        wait = interval = request.interval
        while self._clock() + wait < ends_at:
            await self._sleep(wait)
            asked_at = self._clock()
            outcome = await self._endpoint.exchange_device_code(request.device_code)
            if isinstance(outcome, Refreshed):
                return outcome, asked_at
            interval = interval_after(outcome, interval)
            wait = interval if isinstance(outcome, Rejected) else max(interval, outcome.retry_after or 0.0)
        raise expired()

    async def _subject(self, id_token: str, nonce: str | None) -> str:
        """`sub` of a checked ID token; "" where none came, since plain OAuth providers send none."""
        client = self._client
        if not id_token:
            if "openid" in client.scopes:
                log.warning("the provider sent no ID token although openid was asked for", issuer=client.issuer)
            return ""
        keys = await self._keys.for_token(client.issuer, id_token)
        claims = check_id_token(
            id_token, keys, issuer=client.issuer, client_id=client.client_id, nonce=nonce, now=self._clock()
        )
        return str(claims["sub"])

    def _first_generation(
        self,
        account: str,
        answer: Refreshed,
        subject: str,
        asked_at: float,
        grant_type: Literal["refresh_token", "client_credentials"] = "refresh_token",
    ) -> TokenSet:
        return TokenSet(
            account=account,
            issuer=self._client.issuer,
            client_id=self._client.client_id,
            grant_type=grant_type,
            resource=self._client.resource,
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            scope=answer.scope,
            subject=subject,
            sign_in_id=secrets.token_hex(8),
            signed_in_at=asked_at,
            generation=1,
            obtained_at=asked_at,
            expires_at=asked_at + answer.life,
        )


def _attempt() -> Attempt:
    return Attempt(
        state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), code_verifier=secrets.token_urlsafe(64)
    )


async def _pasted(attempt: Attempt, read_line: ReadLine, tell: Callable[[str], None]) -> dict[str, list[str]]:
    """The parameters of this attempt's redirect, once they are pasted. Raises SignInError at the end of the input."""
    while line := await read_line():
        if not line.strip():
            continue
        parameters = parse_pasted(line)
        reason = why_not(parameters, attempt)
        if not reason:
            return parameters
        tell(reason)
    raise SignInError(
        "the input ended before the address was pasted", hint="run it again in a terminal, and paste the address there"
    )


async def _offer_pasted(
    redirect: LoopbackRedirect, attempt: Attempt, read_line: ReadLine, tell: Callable[[str], None]
) -> None:
    """Take what is pasted as if the browser had come back; where nothing is pasted, it still may."""
    with contextlib.suppress(SignInError):
        redirect.take(await _pasted(attempt, read_line, tell))


def _given(outcome: Outcome, what: str) -> Refreshed:
    """The tokens that were given. Raises SignInError where none were."""
    if isinstance(outcome, Refreshed):
        return outcome
    reason = outcome.error if isinstance(outcome, Rejected) else outcome.reason
    settings = isinstance(outcome, Transient) and outcome.client_refused
    hint = "check the account's client_id, scopes and resource" if settings else "run it again; nothing was saved"
    raise SignInError(f"the provider did not give tokens for the {what}: {reason}", hint=hint)

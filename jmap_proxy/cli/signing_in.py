"""Signing in an account: sign in, check the tokens by fetching the Session, and only then save."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmap_proxy.errors import JmapProxyError, ProviderError, SignInError, StoreError, UpstreamRefusedToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.local_keys import LocalKeys
    from jmap_proxy.proxy.session.session import Session
    from jmap_proxy.tokens import TokenSet


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a sign-in gave.

    Attributes:
        username: By the server's Session.
        account_id: Of the user's mail at the server.
        local_key: The new key, "" where the account has one already.
    """

    username: str
    account_id: str
    local_key: str = field(repr=False)


async def sign_in_and_save(assembly: Assembly, name: str, show_url: Callable[[str], None]) -> SignedIn:
    """Sign an account in.

    Raises:
        ConfigError, StoreError, ProviderError, SignInError, UpstreamError: nothing was saved, but for a StoreError
            that says that the account is signed in and lacks a local key.
    """
    store = assembly.store(name)
    keys = assembly.local_keys
    # A file that cannot be overwritten is told before the user signs in, not after.
    await store.load()
    has_key = await asyncio.to_thread(keys.has_key, name)
    hint = name if "@" in name else ""
    tokens = await (await assembly.sign_in(name)).by_browser(name, show_url, login_hint=hint)
    try:
        session = await _checked_session(assembly, tokens)
        async with store.lock():
            await store.save(tokens)
    except JmapProxyError:
        with contextlib.suppress(ProviderError):  # nobody will use these tokens
            await (await assembly.token_endpoint(name)).revoke(tokens)
        raise
    key = "" if has_key else await _first_key(keys, name)
    return SignedIn(session.username, session.mail_account, key)


async def _checked_session(assembly: Assembly, tokens: TokenSet) -> Session:
    """The Session that the server gives for the new token; that it knows an account shows that the token counts."""
    plane = await assembly.plane(tokens.account, FixedToken(tokens.access_token))
    session = await plane.sessions.fetch()
    if not session.mail_account:
        raise SignInError(
            "the server answers the new token with a Session that has no accounts",
            hint="compare the account's scopes, resource and server with what the server wants",
        )
    return session


async def _first_key(keys: LocalKeys, name: str) -> str:
    try:
        return await asyncio.to_thread(keys.renew, name)
    except StoreError as error:
        raise StoreError(
            f"{name} is signed in, but its local key could not be made: {error.detail}",
            hint=f"{error.hint}, then run: jmap-proxy key {name}",
        ) from None


class FixedToken:
    """A TokenSource of one token that nobody renews; for the check right after a sign-in."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def ensure_valid_token(self) -> str:
        """The token."""
        return self._token

    async def replace_rejected(self, rejected: str) -> str:
        """There is no other one: raises UpstreamRefusedToken."""
        raise self.refused_again(rejected)

    def refused_again(self, token: str) -> UpstreamRefusedToken:
        """The error that says so."""
        del token
        return UpstreamRefusedToken(
            "the server refuses the token that the provider has just given",
            hint="compare the account's scopes, resource and issuer with what the server wants",
        )

"""Signing in an account: sign in, check the tokens by fetching the Session, and only then save."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmap_proxy.errors import SignInError
from jmap_proxy.proxy.source import FixedToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.cli.assembly import Assembly


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
        ConfigError, StoreError, ProviderError, SignInError, UpstreamError: nothing was saved.
    """
    store = assembly.store(name)
    keys = assembly.local_keys
    # A file that cannot be overwritten is told before the user signs in, not after.
    await store.load()
    has_key = await asyncio.to_thread(keys.has_key, name)
    hint = name if "@" in name else ""
    tokens = await (await assembly.sign_in(name)).by_browser(name, show_url, login_hint=hint)
    plane = await assembly.plane(name, FixedToken(tokens.access_token))
    session = await plane.sessions.fetch()
    if not session.mail_account:
        raise SignInError(
            "the server answers the new token with a Session that has no accounts",
            hint="compare the account's scopes, resource and server with what the server wants",
        )
    async with store.lock():
        await store.save(tokens)
    key = "" if has_key else await asyncio.to_thread(keys.renew, name)
    return SignedIn(session.username, session.mail_account, key)

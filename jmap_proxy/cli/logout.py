"""`jmap-proxy logout NAME`: revoke and forget."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.completing import account_names
from jmap_proxy.cli.options import run, with_config, with_log_level
from jmap_proxy.cli.shown import shown
from jmap_proxy.errors import ConfigError, ProviderError
from jmap_proxy.oauth.registration import remove
from jmap_proxy.tokens.store import DamagedError

if TYPE_CHECKING:
    from jmap_proxy.config import Config
    from jmap_proxy.tokens import TokenSet


@click.command(short_help="Revoke a sign-in, and forget its tokens and key.")
@click.argument("name", shell_complete=account_names)
@with_config
@with_log_level("warning")
def logout(name: str, config: Config) -> None:
    """Revoke the sign-in of the account NAME at the provider, and forget its tokens and local key."""
    config.account(name)
    click.echo(run(_logout(config, name)))


async def _logout(config: Config, name: str) -> str:
    tokens, damaged, revoked = None, False, False
    async with Assembly(config) as assembly:
        store = assembly.store(name)
        async with store.lock():
            try:
                tokens = await store.load()
            except DamagedError:
                damaged = True
            if tokens is not None:
                revoked = await _revoke(assembly, tokens)
            await store.remove()
        await asyncio.to_thread(assembly.local_keys.remove, name)
    if damaged:
        at = config.account(name).issuer or "the provider"
        return (
            f"{name} is signed out here. Its token file was damaged, nothing is revoked: end the session at {at} too."
        )
    if tokens is None:
        return f"{name} was not signed in."
    if revoked:
        return f"{name} is signed out; the provider has revoked the sign-in."
    return f"{name} is signed out here; the provider did not confirm a revocation, so end the session there too."


async def _revoke(assembly: Assembly, tokens: TokenSet) -> bool:
    """Whether the provider has revoked the sign-in; what stands against it does not keep it from being forgotten.

    A client that was registered for the account goes with it.
    """
    try:
        revoked = await (await assembly.token_endpoint(tokens.account)).revoke(tokens)
    except (ProviderError, ConfigError) as error:
        click.echo(f"warning: {shown(error.detail)}", err=True)
        return False
    if tokens.registration is not None:
        with contextlib.suppress(ProviderError, ConfigError):
            await remove(tokens.registration, await assembly.provider_http(tokens.account))
    return revoked

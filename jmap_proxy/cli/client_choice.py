"""Which client the proxy is at a provider: the configured one, the one registered for the account, or a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jmap_proxy.autodiscovery.address import MailAddress, parse_mail_address
from jmap_proxy.config import DEFAULT_SCOPES, NO_RESOURCE
from jmap_proxy.errors import DiscoveryError, SignInError
from jmap_proxy.oauth.client_renewal import CLIENT_NAME
from jmap_proxy.oauth.registration import BY_HAND, is_known, register, remove

if TYPE_CHECKING:
    from jmap_proxy.autodiscovery.found import Found
    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.oauth.client import OAuthClient
    from jmap_proxy.oauth.http import ProviderHttp
    from jmap_proxy.tokens import TokenSet
    from jmap_proxy.tokens.registration import Registration

REDIRECT_URIS = ("http://127.0.0.1/callback", "http://[::1]/callback")
"""The port of a loopback address is free (RFC 8252 §7.3)."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The client of a sign-in.

    Attributes:
        client: Who asks, and for what.
        wanted: The scopes that were wished for; a registered client may not ask for all of them.
        registration: Of a client that is registered for the account.
        fresh: What to end that registration with if it was made for this sign-in.
    """

    client: OAuthClient
    wanted: tuple[str, ...]
    registration: Registration | None = None
    fresh: ProviderHttp | None = None

    async def remove_if_fresh(self) -> None:
        """End a registration that was made for this sign-in (RFC 7592 §2.3), where the provider allows it."""
        if self.registration is not None and self.fresh is not None:
            await remove(self.registration, self.fresh)


async def choose_client(assembly: Assembly, name: str, stored: TokenSet | None, found: Found | None) -> Chosen:
    """The client for an account's sign-in; what the configuration leaves out is found, or registered.

    Args:
        assembly: Makes the account's parts.
        name: The account.
        stored: Its tokens, which know the client that was registered for it.
        found: What is known of server and provider already.

    Raises:
        ConfigError, DiscoveryError, ProviderError, SignInError: there is none.
    """
    account, configured = assembly.config.account(name), assembly.client(name)
    if found is None and account.issuer and account.client_id:
        return Chosen(configured, configured.scopes)
    if found is None:
        finder = await assembly.finder(account.ca_file)
        found = await finder.find(person_of(name), account.session_url, issuer=account.issuer)
    wanted = replace(
        configured,
        issuer=found.issuer,
        scopes=(found.scopes or DEFAULT_SCOPES) if account.scopes is None else account.scopes,
        resource=resource_to_ask(account.resource, found.resource),
    )
    if account.client_id:
        return Chosen(wanted, wanted.scopes)
    http = await assembly.provider_http(name)
    registration = stored.registration if stored else None
    if (
        registration
        and registration.issuer == found.issuer
        and await is_known(registration, found.metadata, http, now=assembly.clock())
    ):
        return Chosen(wanted.registered(registration), wanted.scopes, registration)
    if not found.metadata.registration_endpoint:
        raise SignInError(
            f"{found.issuer} lets no client register itself",
            hint=BY_HAND,
        )
    registration = await register(
        found.metadata,
        http,
        redirect_uris=REDIRECT_URIS,
        scopes=wanted.scopes,
        client_name=CLIENT_NAME,
        now=assembly.clock(),
    )
    return Chosen(wanted.registered(registration), wanted.scopes, registration, http)


def person_of(name: str) -> MailAddress | None:
    """Whose address an account's name is, None for another name. Pure."""
    try:
        return parse_mail_address(name)
    except DiscoveryError:
        return None


def resource_to_ask(configured: str, found: str) -> str:
    """What to name as `resource` (RFC 8707), "" to leave it out: as configured, else the server's own name. Pure."""
    return "" if configured == NO_RESOURCE else configured or found

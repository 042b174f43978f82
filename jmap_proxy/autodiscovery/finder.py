"""Finding a server and its identity provider: asks, one thing after the other, and hands the answers to the rules."""

from __future__ import annotations

import contextlib
import random
from http import HTTPStatus
from typing import TYPE_CHECKING

from jmap_proxy.autodiscovery.found import Found
from jmap_proxy.autodiscovery.protected_resource import (
    BY_NAME,
    ProtectedResource,
    metadata_place,
    metadata_places,
    parse_protected_resource,
    usable_issuers,
)
from jmap_proxy.autodiscovery.scopes import scopes_to_ask
from jmap_proxy.autodiscovery.session_answer import challenge_of
from jmap_proxy.autodiscovery.srv import in_order, none_offered, services, usable
from jmap_proxy.autodiscovery.webfinger import issuers_of, webfinger_url
from jmap_proxy.errors import DiscoveryError, ServerUnreachable
from jmap_proxy.origins import Origin, is_below, locate, parse_origin, split_url
from jmap_proxy.presets import preset_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import dns.asyncresolver

    from jmap_proxy.autodiscovery.address import MailAddress
    from jmap_proxy.autodiscovery.challenge import Challenge
    from jmap_proxy.autodiscovery.http import Page, ServerHttp
    from jmap_proxy.oauth.discovery import Discovery

WELL_KNOWN = "/.well-known/jmap"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
MOST_SERVICES = 4
"""SRV records that are tried."""
MOST_SHOWN = 10
"""Providers that are offered for a choice."""

_BY_SESSION = "name the server by its Session URL: --server URL"


class Finder:
    """Finds what a sign-in needs to know.

    Args:
        http: To servers, without credentials.
        discovery: Knows providers' metadata.
        resolver: Makes what answers questions for SRV records.
        draw: A random number from 0 to its argument, both included (RFC 2782).
    """

    def __init__(
        self,
        http: ServerHttp,
        discovery: Discovery,
        resolver: Callable[[], dns.asyncresolver.Resolver],
        draw: Callable[[int], int] = lambda most: random.randint(0, most),  # noqa: S311 - it spreads load
    ) -> None:
        self._http = http
        self._discovery = discovery
        self._resolver = resolver
        self._draw = draw

    async def find(self, address: MailAddress | None, session_url: str = "", *, issuer: str = "") -> Found:
        """Everything that the server and its provider say of themselves.

        Args:
            address: Whose mail; None if that is not known.
            session_url: Where the server's Session is asked for; "" to find that by the address.
            issuer: The provider if the user has named it; then only the rest is found.

        Raises:
            DiscoveryError: something is not found, or says what cannot be used.
            ProviderError: the provider cannot be reached, or its metadata cannot be used.
        """
        starts, notes = ([session_url], []) if session_url else await self._starts(address)
        start, page = await self._first_answer(starts)
        challenge = challenge_of(page)
        try:
            resource = await self._protected_resource(challenge, page.url)
        except DiscoveryError as error:
            if not issuer:
                raise
            resource, notes = None, [*notes, error.detail]
        issuer = issuer or await self._issuer(resource, address, page.url)
        metadata = await self._discovery.metadata(issuer)
        return Found(
            server=_as_server(start, page.url),
            session_url=page.url,
            issuer=issuer,
            metadata=metadata,
            scopes=scopes_to_ask(
                challenge.parameters.get("scope", ""),
                resource.scopes_supported if resource else (),
                metadata.scopes_supported,
            ),
            resource=resource.resource if resource else "",
            preset=preset_for(parse_origin(page.url).host, challenge.parameters.get("realm", "")),
            notes=(*notes, *_elsewhere(start, page.url)),
        )

    async def _starts(self, address: MailAddress | None) -> tuple[list[str], list[str]]:
        """Where the Session can be (RFC 8620 §2.2), and what the user is to know of that."""
        if address is None:
            raise DiscoveryError("there is neither an address nor a server", hint="name the server: --server URL")
        found = await services(address.domain, self._resolver())
        if none_offered(found):
            raise DiscoveryError(
                f"{address.domain} says (DNS) that it offers no JMAP", hint="if it does, name the server: --server URL"
            )
        if not found:
            return [f"https://{address.domain}{WELL_KNOWN}"], []
        ordered = [service for service in in_order(found, self._draw) if usable(service)]
        if not ordered:
            raise DiscoveryError(
                f"{address.domain} says (DNS) that its mail is at what is no host and port",
                hint="name the server: --server URL",
            )
        ordered = ordered[:MOST_SERVICES]
        hosts = dict.fromkeys(service.host for service in ordered)
        notes = [
            f"{address.domain} says (DNS, which anybody on the way can forge) that its mail is at {host}"
            for host in hosts
            if not is_below(host, address.domain) and not is_below(host, f"*.{address.domain}")
        ]
        return [f"{Origin('https', service.host, service.port)}{WELL_KNOWN}" for service in ordered], notes

    async def _first_answer(self, starts: Sequence[str]) -> tuple[str, Page]:
        """The first of the places that answers, and its answer; the next is tried only if one cannot be reached."""
        for start in starts[:-1]:
            with contextlib.suppress(ServerUnreachable):
                return start, await self._followed(start)
        return starts[-1], await self._followed(starts[-1])

    async def _followed(self, url: str) -> Page:
        """What is found at a URL after redirects, which lead to where a secret could go, or the end."""
        for _ in range(MOST_REDIRECTS + 1):
            page = await self._http.get(url)
            if page.status not in REDIRECTS:
                return page
            url = redirected(page)
        raise DiscoveryError(f"{url} redirects without end", hint=_BY_SESSION)

    async def _protected_resource(self, challenge: Challenge, session_url: str) -> ProtectedResource | None:
        """What the server says of itself (RFC 9728); None where it says nothing."""
        reference = challenge.parameters.get("resource_metadata")
        if reference is not None:
            url = metadata_place(reference, session_url)
            page = await self._http.get(url)
            if page.status != HTTPStatus.OK:
                detail = f"the server names {url} as its resource metadata, which answers {page.status}"
                raise DiscoveryError(detail, hint=f"try again later, or {BY_NAME}")
            return parse_protected_resource(page.body, session_url)
        for url in metadata_places(session_url):
            page = await self._http.get(url)
            if page.status == HTTPStatus.OK and page.headers.get("Content-Type", "").startswith("application/json"):
                return parse_protected_resource(page.body, session_url)
        return None

    async def _issuer(self, resource: ProtectedResource | None, address: MailAddress | None, session_url: str) -> str:
        """The one provider that the server names, by RFC 9728 or else by WebFinger (measured: James)."""
        issuers = resource.authorization_servers if resource else ()
        origin = parse_origin(session_url)
        if not issuers:
            page = await self._http.get(webfinger_url(str(origin), f"acct:{address}" if address else str(origin)))
            issuers = issuers_of(page.body) if page.status == HTTPStatus.OK else ()
        issuers = usable_issuers(issuers, session_url)
        if not issuers:
            detail = f"{origin} does not say which identity provider gives tokens for it"
            raise DiscoveryError(detail, hint=f"ask whoever runs it, then {BY_NAME}")
        if len(issuers) > 1:
            raise DiscoveryError(
                f"the server takes the tokens of several identity providers: {', '.join(issuers[:MOST_SHOWN])}",
                hint="choose one of them: --issuer URL",
            )
        return issuers[0]


def redirected(page: Page) -> str:
    """Where a redirect leads. Pure.

    Raises:
        DiscoveryError: no URL, plain http that leaves this machine, or this machine where the server is elsewhere.
    """
    try:
        origin, rest = locate(page.headers.get("Location", ""), page.url)
    except ValueError as error:
        raise DiscoveryError(f"{page.url} redirects to what is no URL: {error}", hint=_BY_SESSION) from None
    if not origin.is_safe_for_secrets or (origin.is_loopback and not parse_origin(page.url).is_loopback):
        raise DiscoveryError(f"{page.url} redirects to {origin}, where no token may go", hint=_BY_SESSION)
    return f"{origin}{rest}"


def _as_server(start: str, session_url: str) -> str:
    """The base URL where that leads to the Session, so that the path may change; else the Session URL."""
    origin, path = split_url(start)
    if path == WELL_KNOWN and parse_origin(session_url) == origin:
        return str(origin)
    return start if parse_origin(session_url) == origin else session_url


def _elsewhere(start: str, session_url: str) -> list[str]:
    """What to tell of a server that redirects to another one."""
    here, there = parse_origin(start), parse_origin(session_url)
    return [] if here == there else [f"{here} redirects to {there}"]

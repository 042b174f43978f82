"""The servers that the accounts need: reached once each, then asked. A token goes only where the proxy sends it too."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from yarl import URL

from jmap_proxy.doctor.clocks import judge_clocks, seconds_ahead
from jmap_proxy.doctor.finding import Finding, error, warning
from jmap_proxy.doctor.provider import ask_provider, judge_metadata, judge_silence
from jmap_proxy.doctor.reach import Place, reach
from jmap_proxy.doctor.session import examine_session
from jmap_proxy.errors import ConfigError, ProviderError
from jmap_proxy.oauth.http import ProviderHttp
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.fixed_token import FixedToken
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.tls.contexts import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Sequence

    from jmap_proxy.config import Account
    from jmap_proxy.doctor.installation import Installation
    from jmap_proxy.doctor.looks import Looks
    from jmap_proxy.oauth.metadata import ProviderMetadata
    from jmap_proxy.origins import Origin
    from jmap_proxy.tokens.tokenset import TokenSet

T = TypeVar("T")

REFUSED = "the server refuses the access token, which should still be good"

SOON = 5.0
"""Seconds before a token's end in which it is not tried any more: it could end on its way."""

ANONYMOUS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "jmap-proxy"}


@dataclass(frozen=True, slots=True)
class Examined:
    """An account whose servers are asked.

    Attributes:
        name: The account.
        account: Its configuration.
        issuer: Its provider, "" if that is not known.
        tokens: The stored ones that are good, None if there are none.
    """

    name: str
    account: Account
    issuer: str
    tokens: TokenSet | None

    @property
    def server(self) -> Place:
        """Its mail server."""
        return Place(self.account.server_origin, f"accounts.{self.name}.server", self.name)

    @property
    def provider(self) -> Place | None:
        """Its provider, None if that is not known."""
        if not self.issuer:
            return None
        return Place(parse_origin(self.issuer), f"accounts.{self.name}.issuer", self.name)


class Network:
    """Asks the servers.

    Args:
        installation: What is looked at.
        looks: Takes the findings.
    """

    def __init__(self, installation: Installation, looks: Looks) -> None:
        self._installation = installation
        self._looks = looks
        self._trust: dict[str, ssl.SSLContext] = {}
        self._reached: set[tuple[Origin, str]] = set()
        self._ahead: dict[str, float] = {}
        self._http: dict[str, aiohttp.ClientSession] = {}

    async def ask(self, accounts: Sequence[Examined]) -> dict[str, ProviderMetadata]:
        """Ask all servers of the accounts. Returns the metadata of the providers that have good ones, by issuer."""
        async with AsyncExitStack() as stack:
            await self._open(accounts, stack)
            await self._reach(accounts)
            providers = {(each.issuer, each.account.ca_file): each for each in reversed(accounts)}
            asked, _ = await asyncio.gather(
                asyncio.gather(*(self._take("issuer", each, self._ask_provider(each)) for each in providers.values())),
                asyncio.gather(*(self._take("server", each, self._ask_server(each)) for each in accounts)),
            )
        self._looks.findings += judge_clocks(self._ahead)
        return {metadata.issuer: metadata for metadata in asked if metadata is not None}

    async def _open(self, accounts: Sequence[Examined], stack: AsyncExitStack) -> None:
        """A session for each set of authorities."""
        for each in accounts:
            ca_file = each.account.ca_file
            try:
                if ca_file not in self._http:
                    self._trust[ca_file] = client_context(ca_file)
                    session = upstream_session(self._trust[ca_file])
                    self._http[ca_file] = await stack.enter_async_context(session)
            except ConfigError as trouble:
                mend = f"set accounts.{each.name}.ca_file to a PEM file of certificates, or remove it"
                self._looks.findings.append(error("ca-file", trouble.detail, mend, each.name))

    async def _take(self, key: str, each: Examined, look: Awaitable[T]) -> T | None:
        """What the look gives; each of its requests has a limit of its own, so it will hardly meet this one."""
        return await self._looks.take(f"accounts.{each.name}.{key}", look, None, steps=4)

    async def _reach(self, accounts: Sequence[Examined]) -> None:
        places = {
            (place.origin, each.account.ca_file): place
            for each in reversed(accounts)
            for place in (each.provider, each.server)
            if place is not None and each.account.ca_file in self._trust
        }
        await asyncio.gather(*(self._reach_one(place, ca_file) for (_, ca_file), place in places.items()))

    async def _reach_one(self, place: Place, ca_file: str) -> None:
        finding = await reach(place, self._trust[ca_file], self._looks.limit)
        self._looks.findings += [finding] if finding else []
        if finding is None:
            self._reached.add((place.origin, ca_file))

    def _is_reached(self, each: Examined, place: Place) -> bool:
        return (place.origin, each.account.ca_file) in self._reached

    async def _ask_provider(self, each: Examined) -> ProviderMetadata | None:
        place = each.provider
        if place is None or not self._is_reached(each, place):
            return None
        limit, clock = self._looks.limit, self._installation.clock
        http = ProviderHttp(self._http[each.account.ca_file], aiohttp.ClientTimeout(total=limit, sock_connect=limit))
        asked_at = clock()
        try:
            answers = await ask_provider(http, each.issuer)
        except ProviderError as trouble:
            self._looks.findings.append(judge_silence(each.name, trouble))
            return None
        self._note_clock(place.origin, answers[-1][1].headers.get("Date"), asked_at)
        finding, metadata = judge_metadata(each.name, each.issuer, answers)
        self._looks.findings.append(finding)
        return metadata

    async def _ask_server(self, each: Examined) -> None:
        if not self._is_reached(each, each.server):
            return
        what = f"{each.server.origin} takes the connection, and does not answer"
        silence = warning("server-silent", what, f"check {each.server.key}", each.name)
        answers = await self._ask_anonymously(each)
        tokens = each.tokens
        if tokens is not None and self._installation.clock() + SOON < tokens.expires_at:
            await self._looks.add(f"the Session of {each.name}", self._fetch(each.name, tokens), steps=2)
        else:
            self._looks.findings += [] if answers else [silence]

    async def _fetch(self, name: str, tokens: TokenSet) -> list[Finding]:
        plane = await self._installation.plane(name, FixedToken(tokens.access_token, REFUSED))
        return await examine_session(name, plane)

    async def _ask_anonymously(self, each: Examined) -> bool:
        """Whether the server answers at all, as its clock is wanted."""
        asked_at = self._installation.clock()
        http, url = self._http[each.account.ca_file], URL(each.account.session_url, encoded=True)
        time = aiohttp.ClientTimeout(total=self._looks.limit)
        try:
            async with http.get(url, headers=ANONYMOUS, allow_redirects=False, timeout=time) as response:
                self._note_clock(each.account.server_origin, response.headers.get("Date"), asked_at)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False
        return True

    def _note_clock(self, origin: Origin, date: str | None, asked_at: float) -> None:
        ahead = seconds_ahead(date, asked_at, self._installation.clock())
        if ahead is not None:
            self._ahead[str(origin)] = ahead

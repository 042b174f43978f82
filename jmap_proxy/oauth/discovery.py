"""Discovery with a cache: fetches a provider's metadata and keeps it for an hour."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from jmap_proxy.errors import ProviderError
from jmap_proxy.oauth.http import check_endpoint
from jmap_proxy.oauth.metadata import ProviderMetadata, metadata_urls, on_this_machine, parse_metadata
from jmap_proxy.origins import parse_origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.oauth.http import ProviderHttp

MAX_AGE = 3600.0
"""Seconds that metadata is used without asking again."""

STALE_AGE = 60.0
"""Seconds that stale metadata is used before the provider that could not be asked is asked again."""


@dataclass(slots=True)
class _Fetch:
    """A fetch that is under way, and how many wait for it."""

    task: asyncio.Task[ProviderMetadata]
    waiting: int = 0


class Discovery:
    """Provider metadata by issuer. However many accounts ask for it at once, the provider is asked once.

    Args:
        http: For the requests.
        clock: Epoch seconds.
    """

    def __init__(self, http: ProviderHttp, clock: Callable[[], float]) -> None:
        self._http = http
        self._clock = clock
        self._cache: dict[str, tuple[float, ProviderMetadata]] = {}
        self._fetches: dict[str, _Fetch] = {}

    async def metadata(self, issuer: str) -> ProviderMetadata:
        """The issuer's metadata; what is cached also serves, past its age, while the provider cannot be asked.

        Raises:
            ProviderError: nothing usable was found.
        """
        cached = self._cache.get(issuer)
        if cached is not None and 0 <= self._clock() - cached[0] < MAX_AGE:  # else the clock was set back
            return cached[1]
        try:
            metadata = await self._shared(issuer)
        except ProviderError:
            if cached is None:
                raise
            self._cache[issuer] = (self._clock() - MAX_AGE + STALE_AGE, cached[1])
            return cached[1]
        self._cache[issuer] = (self._clock(), metadata)
        return metadata

    def doubt(self, issuer: str) -> None:
        """Ask for the metadata anew the next time: an endpoint of it did not answer as one."""
        cached = self._cache.get(issuer)
        if cached is not None:
            self._cache[issuer] = (self._clock() - MAX_AGE, cached[1])

    async def _shared(self, issuer: str) -> ProviderMetadata:
        """What the fetch gives that is under way, or a new one; it ends with the last of those who wait for it."""
        fetch = self._fetches.get(issuer)
        if fetch is None:
            fetch = self._fetches[issuer] = _Fetch(asyncio.create_task(self._fetch(issuer), name=f"discover {issuer}"))
        fetch.waiting += 1
        try:
            await asyncio.wait([fetch.task])
        finally:
            fetch.waiting -= 1
            if self._fetches.get(issuer) is fetch and (fetch.task.done() or not fetch.waiting):
                del self._fetches[issuer]
                fetch.task.cancel()
        try:
            return fetch.task.result()
        except ProviderError as error:
            raise error.anew() from None

    async def _fetch(self, issuer: str) -> ProviderMetadata:
        seen: list[str] = []
        hint = "check the account's issuer"
        for url in metadata_urls(issuer):
            answer = await self._http.get(url)
            if answer.status != HTTPStatus.OK:
                seen.append(f"{url} answers {answer.status}")
                continue
            try:
                return _trusted(answer.body, issuer)
            except ProviderError as error:  # a web application answers 200 with its page to any path it does not know
                seen.append(f"{url}: {error.detail}")
                hint = error.hint or hint
        raise ProviderError(f"no metadata for issuer {issuer}: {'; '.join(seen)}", hint=hint, retry_after=1)


def _trusted(body: bytes, issuer: str) -> ProviderMetadata:
    """The document, if it is this issuer's and names no endpoint that secrets may not be sent to.

    Nor one on this machine where the provider is elsewhere: requests, and the browser, would go to what listens here.
    """
    metadata = parse_metadata(body, issuer)
    for endpoint in (metadata.token_endpoint, metadata.authorization_endpoint, metadata.jwks_uri):
        if endpoint:
            check_endpoint(endpoint)
    if (here := on_this_machine(metadata)) and not parse_origin(issuer).is_loopback:
        raise ProviderError(
            f"{issuer} names {here[0]} for its {here[1]}, which is this machine and not its own",
            hint="ask whoever runs the provider to mend its metadata",
        )
    return metadata

"""The provider's keys (RFC 7517), fetched where it says now: providers change them, and the place where they are."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.fields import json_object
from jmap_proxy.oauth.id_token import holds_key_of

if TYPE_CHECKING:
    from jmap_proxy.oauth.discovery import Discovery
    from jmap_proxy.oauth.http import ProviderHttp


class ProviderKeys:
    """Key sets to check ID tokens with.

    Args:
        http: For the requests.
        discovery: Knows where the keys are.
    """

    def __init__(self, http: ProviderHttp, discovery: Discovery) -> None:
        self._http = http
        self._discovery = discovery

    async def for_token(self, issuer: str, id_token: str) -> dict[str, Any]:
        """The key set to check an ID token with.

        Where it cannot be had, or lacks the key that the token names, the metadata is asked for anew, and the keys.

        Raises:
            SignInError: there are no keys that can be read.
            ProviderError: the provider cannot be reached.
        """
        place = await self._place(issuer)
        trouble: SignInError | ProviderError | None = None
        try:
            keys = await self._fetch(place)
            if holds_key_of(id_token, keys):
                return keys
        except (SignInError, ProviderError) as error:
            trouble = error
        self._discovery.doubt(issuer)
        before, place = place, await self._place(issuer)
        if trouble is not None and place == before:
            raise trouble
        return await self._fetch(place)

    async def _place(self, issuer: str) -> str:
        place = (await self._discovery.metadata(issuer)).jwks_uri
        if not place:
            raise SignInError(
                "the provider sent an ID token, but names no keys (jwks_uri) to check it with",
                hint="ask whoever runs the provider, or leave openid out of the account's scopes",
            )
        return place

    async def _fetch(self, place: str) -> dict[str, Any]:
        answer = await self._http.get(place)
        keys = json_object(answer.body) if answer.status == HTTPStatus.OK else {}
        if not keys:
            raise SignInError(
                f"the provider's keys cannot be read: {place} answers {answer.status}", hint="try again later"
            )
        return keys

"""What a server's answer to a request for the Session without credentials says of it. Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.autodiscovery.challenge import Challenge, bearer, parse_challenges
from jmap_proxy.errors import DiscoveryError

if TYPE_CHECKING:
    from jmap_proxy.autodiscovery.http import Page

WANTS_CREDENTIALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""The second by gateways (measured: before James)."""
NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
BY_URL = "name the server by its base URL or its Session URL: --server URL"


def challenge_of(page: Page) -> Challenge:
    """How the server wants its clients to authenticate; an empty challenge where it does not say.

    Raises:
        DiscoveryError: it is no JMAP server, lets anybody in, or cannot answer now.
    """
    if page.status in WANTS_CREDENTIALS:
        return bearer(parse_challenges(page.headers.getall("WWW-Authenticate", []))) or Challenge("")
    if page.status == HTTPStatus.OK:
        _check_nobodys(page)
        return Challenge("")
    if page.status in NOT_THERE:
        raise DiscoveryError(f"there is no JMAP at {page.url} ({page.status})", hint=BY_URL)
    if page.status >= HTTPStatus.INTERNAL_SERVER_ERROR or page.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise DiscoveryError(
            f"the server has trouble of its own: {page.url} answers {page.status}", hint="try again later"
        )
    raise DiscoveryError(f"{page.url} answers {page.status}, which no JMAP server should", hint=BY_URL)


def _check_nobodys(page: Page) -> None:
    """See that a Session given without credentials is nobody's (measured: Stalwart gives one without accounts)."""
    try:
        session = msgspec.json.decode(page.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        session = {}
    if not isinstance(session.get("capabilities"), dict) or "apiUrl" not in session:
        raise DiscoveryError(f"what {page.url} answers is no JMAP Session, but some other page", hint=BY_URL)
    if session.get("accounts"):
        raise DiscoveryError(
            f"{page.url} gives mail to anybody, without a sign-in",
            hint="such a server needs no proxy: point the client at it; if it should not, ask whoever runs it",
        )

"""What to ask the identity provider for, by what server and provider say. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCOPE = re.compile(r"[!#-\[\]-~]+")
"""One scope (RFC 6749 §3.3)."""

FOR_MAIL = (
    "urn:ietf:params:oauth:scope:mail",
    "urn:ietf:params:oauth:scope:contacts",
    "urn:ietf:params:oauth:scope:calendars",
)
"""What JMAP clients need (draft-ietf-mailmaint-oauth-public §3)."""

FOR_SIGNING_IN = ("openid", "offline_access")
"""To know who signs in, and to stay signed in (OpenID Connect Core §3.1.2.1 and §11); asked for where offered."""


def scopes_to_ask(challenge: str, resource: Sequence[str], provider: Sequence[str]) -> tuple[str, ...]:
    """The scopes of the sign-in; empty where neither of the two says anything.

    Args:
        challenge: `scope` of the server's challenge, which is all that it wants (RFC 6750 §3).
        resource: `scopes_supported` of the server (RFC 9728 §2), of which only what mail needs is asked for.
        provider: `scopes_supported` of the provider (RFC 8414 §2), for the rest.
    """
    wanted = challenge.split() or _offered(FOR_MAIL, resource) or _offered(FOR_MAIL, provider)
    # What the server says it takes counts as offered too: providers need not list every scope (RFC 8414 §2).
    extras = _offered(FOR_SIGNING_IN, (*provider, *resource))
    return tuple(dict.fromkeys(scope for scope in (*wanted, *extras) if SCOPE.fullmatch(scope)))


def _offered(wanted: Iterable[str], offered: Sequence[str]) -> list[str]:
    return [scope for scope in wanted if scope in offered]

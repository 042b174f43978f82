"""The origins that a Session names besides its own. Pure.

A server may have several hosts (measured: Fastmail), and says so in the Session that it gives to the signed-in user
over TLS. Whoever could forge that has the token already, so a new account may trust what its first Session names; what
later ones name is not trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.origins import Origin, locate, parse_origin
from jmap_proxy.proxy.session.session import CAPABILITY_ENDPOINTS, ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 16
"""Further origins that are looked at."""


def named_origins(body: bytes, url: str) -> tuple[Origin, ...]:
    """The origins of all endpoints of a Session, without its own, each once; none where it cannot be read.

    Args:
        body: JSON.
        url: Where it was found.
    """
    try:
        session = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    found: dict[Origin, None] = {}
    for text in _urls(session):
        try:
            found[locate(text, url)[0]] = None
        except ValueError:
            continue  # `read_session` tells of it
    found.pop(parse_origin(url), None)
    return tuple(found)[:MOST]


def _urls(session: dict[str, Any]) -> Iterator[str]:
    holders = [session.get("capabilities")]
    if isinstance(accounts := session.get("accounts"), dict):
        holders += [account.get("accountCapabilities") for account in accounts.values() if isinstance(account, dict)]
    values = [session.get(field) for field in ENDPOINTS]
    for holder in holders:
        for name, fields in CAPABILITY_ENDPOINTS.items():
            value = holder.get(name) if isinstance(holder, dict) else None
            values += [value.get(field) for field in fields] if isinstance(value, dict) else []
    return (value for value in values if isinstance(value, str))

"""The mail server's settings, changeable while it runs, and the Session that follows from them (RFC 8620 §2).

Data and pure functions: what the server does about a setting is decided where it is read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
WEBSOCKET = "urn:ietf:params:jmap:websocket"
CAPABILITIES = frozenset({CORE, MAIL, WEBSOCKET})

MAX_CALLS = 16
"""Method calls in one request."""
MAX_OBJECTS = 500
"""Objects in one /get."""

_PATHS = {
    "apiUrl": "/jmap/api",
    "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?accept={type}",
    "uploadUrl": "/jmap/upload/{accountId}/",
    "eventSourceUrl": "/jmap/events?types={types}&closeafter={closeafter}&ping={ping}",
}
_WEBSOCKET_PATH = "/jmap/ws"


@dataclass
class MailSettings:
    """How the mail server behaves.

    Attributes:
        absolute_urls: The Session's URLs are absolute; relative, as Cyrus gives them, otherwise.
        well_known: `/.well-known/jmap` answers with the Session, or redirects to it (307, relative).
        advertised_origin: The origin that URLs claim instead of the true one; implies `absolute_urls`.
        anonymous_session: A Session request with no Authorization gets 200 and no accounts, as Stalwart does.
        extra_session: Properties merged into the Session.
        max_size_request: Octets of an API request.
        max_size_upload: Octets of an upload.
        message_count: How many messages there are.
    """

    absolute_urls: bool = False
    well_known: Literal["session", "redirect"] = "session"
    advertised_origin: str = ""
    anonymous_session: bool = False
    extra_session: dict[str, Any] = field(default_factory=dict)
    max_size_request: int = 10_000_000
    max_size_upload: int = 300_000_000
    message_count: int = 12


def account_of(user: str) -> str:
    """The id of a user's one account."""
    return f"u-{user}"


def session_object(user: str, base_url: str, settings: MailSettings) -> dict[str, Any]:
    """A user's Session. The same arguments give the same `state`.

    Args:
        user: Whose Session; empty for nobody's, which has no accounts.
        base_url: The server's true origin.
        settings: How URLs look, the limits, what is added.
    """
    session = {
        "capabilities": _capabilities(base_url, settings),
        "accounts": {account_of(user): _account(user)} if user else {},
        "primaryAccounts": {MAIL: account_of(user)} if user else {},
        "username": user,
        **_urls(base_url, settings),
    }
    text = json.dumps(session, sort_keys=True)
    session["state"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {**session, **settings.extra_session}


def _urls(base_url: str, settings: MailSettings) -> dict[str, str]:
    origin = _origin(base_url, settings)
    return {name: origin + path for name, path in _PATHS.items()}


def _origin(base_url: str, settings: MailSettings) -> str:
    """The origin that URLs begin with, empty if they are relative."""
    return settings.advertised_origin or (base_url if settings.absolute_urls else "")


def _websocket_url(base_url: str, settings: MailSettings) -> str:
    """The WebSocket URL; a relative one has no authority, as in `wss:/jmap/ws` (Cyrus)."""
    origin = _origin(base_url, settings)
    if not origin:
        origin = base_url.partition("//")[0]
    return "ws" + origin.removeprefix("http") + _WEBSOCKET_PATH


def _capabilities(base_url: str, settings: MailSettings) -> dict[str, Any]:
    core = {
        "maxSizeUpload": settings.max_size_upload,
        "maxConcurrentUpload": 4,
        "maxSizeRequest": settings.max_size_request,
        "maxConcurrentRequests": 4,
        "maxCallsInRequest": MAX_CALLS,
        "maxObjectsInGet": MAX_OBJECTS,
        "maxObjectsInSet": MAX_OBJECTS,
        "collationAlgorithms": ["i;ascii-casemap"],
    }
    websocket = {"url": _websocket_url(base_url, settings), "supportsPush": True}
    return {CORE: core, MAIL: {}, WEBSOCKET: websocket}


def _account(user: str) -> dict[str, Any]:
    mail = {
        "maxMailboxesPerEmail": None,
        "maxMailboxDepth": None,
        "maxSizeMailboxName": 255,
        "maxSizeAttachmentsPerEmail": 50_000_000,
        "emailQuerySortOptions": ["receivedAt"],
        "mayCreateTopLevelMailbox": False,
    }
    return {
        "name": user,
        "isPersonal": True,
        "isReadOnly": True,
        "accountCapabilities": {CORE: {}, MAIL: mail},
    }

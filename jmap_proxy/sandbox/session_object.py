"""The Session object (RFC 8620 §2): what the mail server says about itself. Pure functions."""

import hashlib
import json
from typing import Any

from jmap_proxy.sandbox.mail_settings import MailSettings

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


def account_of(user: str) -> str:
    """Return the id of a user's one account."""
    return f"u-{user}"


def session_object(user: str, base_url: str, settings: MailSettings) -> dict[str, Any]:
    """Return a user's Session. The same arguments give the same `state`.

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
    """Return the origin that URLs begin with, empty if they are relative."""
    return settings.advertised_origin or (base_url if settings.absolute_urls else "")


def _websocket_url(base_url: str, settings: MailSettings) -> str:
    """Return the WebSocket URL; a relative one has no authority, as in `wss:/jmap/ws` (Cyrus)."""
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

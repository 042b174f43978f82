"""The mail server's settings, changeable while it runs, and the Session that follows from them (RFC 8620 §2).

Data and pure functions: what the server does about a setting is decided where it is read. The settings of known
servers are in `shapes`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
WEBSOCKET = "urn:ietf:params:jmap:websocket"
CAPABILITIES = frozenset({CORE, MAIL, WEBSOCKET})

ORIGIN = "{origin}"
"""Stands for the server's own origin, which is known only when it serves."""

MAX_CALLS = 16
"""Method calls in one request."""
MAX_OBJECTS = 500
"""Objects in one /get."""

PATHS = {
    "api": "/jmap/api",
    "download": "/jmap/download/{accountId}/{blobId}/{name}?accept={type}",
    "upload": "/jmap/upload/{accountId}/",
    "events": "/jmap/events?types={types}&closeafter={closeafter}&ping={ping}",
    "websocket": "/jmap/ws",
}
"""Where each place is, as a URL template, unless the settings say otherwise."""
_NO_ID = re.compile(r"[^A-Za-z0-9_-]")
_CORE_PLACES = {"apiUrl": "api", "downloadUrl": "download", "uploadUrl": "upload", "eventSourceUrl": "events"}


@dataclass(frozen=True)
class Capability:
    """A capability beside the core's and the mail's.

    Attributes:
        name: Its URI.
        urls: The place that each of its URL properties names.
        properties: Its other properties.
        of_server: Whether it is in `capabilities` with all of that; it is there empty otherwise.
        of_account: Whether it is in each account's `accountCapabilities`.
    """

    name: str
    urls: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    of_server: bool = True
    of_account: bool = False


@dataclass
class MailSettings:
    """How the mail server behaves.

    Attributes:
        absolute_urls: The Session's URLs are absolute; relative, as Cyrus gives them, otherwise.
        well_known: `/.well-known/jmap` answers with the Session, redirects to a path (307), or to the Session at the
            host that it was asked at (301).
        advertised_origin: The origin that URLs claim instead of the true one; implies `absolute_urls`.
        anonymous_session: A Session request with no Authorization gets 200 and no accounts, as Stalwart does.
        open_session: Whoever shows no good token is let in as the demo user: no credentials are needed at all.
        only_pages: Every answer is 200 and a web page, as of a host that knows nothing of JMAP.
        usernames: The Session's `username` of a user, where it is not the user's name.
        extra_session: Properties merged into the Session.
        max_size_request: Octets of an API request.
        max_size_upload: Octets of an upload.
        message_count: How many messages there are.
        paths: Templates of places that are elsewhere than in `PATHS`, or not there.
        hosts: By place, the name of a further host that alone serves it; the first host serves all others.
        mount: The path below which a gateway puts all of the server, which does not know it.
        capabilities: What it has beside core and mail.
        challenges: `WWW-Authenticate` of a 401, in order; `{origin}` stands for the server's own.
        refusal: A 401 is a page that no JMAP client can read, or a problem (RFC 9457).
        headers: Header fields of every answer.
        mislabels_events: An event source says that it is compressed, though it is not, to whoever takes that.
        protected_resource: RFC 9728 metadata; None if there is none. Its `resource` is the server's origin, unless it
            says otherwise; `{origin}` in that stands for the server's own.
        webfinger_issuer: The issuer that WebFinger names for everybody (RFC 7033); empty if there is none.
    """

    absolute_urls: bool = False
    well_known: Literal["session", "redirect", "moved"] = "session"
    advertised_origin: str = ""
    anonymous_session: bool = False
    open_session: bool = False
    only_pages: bool = False
    usernames: dict[str, str] = field(default_factory=dict)
    extra_session: dict[str, Any] = field(default_factory=dict)
    max_size_request: int = 10_000_000
    max_size_upload: int = 300_000_000
    message_count: int = 12
    paths: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    mount: str = ""
    capabilities: tuple[Capability, ...] = (Capability(WEBSOCKET, {"url": "websocket"}, {"supportsPush": True}),)
    challenges: tuple[str, ...] = ('Bearer realm="sandbox", error="invalid_token"',)
    refusal: Literal["page", "problem"] = "page"
    headers: dict[str, str] = field(default_factory=dict)
    mislabels_events: bool = False
    protected_resource: dict[str, Any] | None = None
    webfinger_issuer: str = ""


def account_of(user: str) -> str:
    """The id of a user's one account; what an id may not hold becomes a hyphen (RFC 8620 §1.2)."""
    return f"u-{_NO_ID.sub('-', user)}"


def session_object(
    user: str, base_url: str, settings: MailSettings, hosts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A user's Session. The same arguments give the same `state`.

    Args:
        user: Whose Session; empty for nobody's, which has no accounts.
        base_url: The server's true origin.
        settings: How URLs look, the limits, what is added.
        hosts: Origins of the further hosts, by name.
    """
    urls = _Urls(base_url, settings, hosts or {})
    session = {
        "capabilities": {CORE: _core(settings), MAIL: {}, **_server_capabilities(urls, settings)},
        "accounts": {account_of(user): _account(user, urls, settings)} if user else {},
        "primaryAccounts": {MAIL: account_of(user)} if user else {},
        "username": settings.usernames.get(user, user),
        **{name: urls.of(place) for name, place in _CORE_PLACES.items()},
    }
    text = json.dumps(session, sort_keys=True)
    session["state"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {**session, **settings.extra_session}


@dataclass(frozen=True)
class _Urls:
    """How places are written in a Session."""

    base_url: str
    settings: MailSettings
    hosts: Mapping[str, str]

    def of(self, place: str) -> str:
        """The URL template of a place; a relative WebSocket has no authority, as in `wss:/jmap/ws` (Cyrus)."""
        path = self.settings.paths.get(place) or PATHS[place]
        origin = self._origin(place)
        if place != "websocket":
            return origin + path
        return "ws" + (origin or self.base_url.partition("//")[0]).removeprefix("http") + path

    def _origin(self, place: str) -> str:
        """The origin that a URL begins with, empty if it is relative."""
        if self.settings.advertised_origin:
            return self.settings.advertised_origin
        own = self.hosts.get(self.settings.hosts.get(place, ""), self.base_url)
        return own if self.settings.absolute_urls else ""

    def capability(self, capability: Capability) -> dict[str, Any]:
        """The whole value of a capability."""
        return {**capability.properties, **{name: self.of(place) for name, place in capability.urls.items()}}


def _core(settings: MailSettings) -> dict[str, Any]:
    return {
        "maxSizeUpload": settings.max_size_upload,
        "maxConcurrentUpload": 4,
        "maxSizeRequest": settings.max_size_request,
        "maxConcurrentRequests": 4,
        "maxCallsInRequest": MAX_CALLS,
        "maxObjectsInGet": MAX_OBJECTS,
        "maxObjectsInSet": MAX_OBJECTS,
        "collationAlgorithms": ["i;ascii-casemap"],
    }


def _server_capabilities(urls: _Urls, settings: MailSettings) -> dict[str, Any]:
    return {each.name: urls.capability(each) if each.of_server else {} for each in settings.capabilities}


def _account(user: str, urls: _Urls, settings: MailSettings) -> dict[str, Any]:
    mail = {
        "maxMailboxesPerEmail": None,
        "maxMailboxDepth": None,
        "maxSizeMailboxName": 255,
        "maxSizeAttachmentsPerEmail": 50_000_000,
        "emailQuerySortOptions": ["receivedAt"],
        "mayCreateTopLevelMailbox": False,
    }
    own = {each.name: urls.capability(each) for each in settings.capabilities if each.of_account}
    return {
        "name": user,
        "isPersonal": True,
        "isReadOnly": True,
        "accountCapabilities": {CORE: {}, MAIL: mail, **own},
    }

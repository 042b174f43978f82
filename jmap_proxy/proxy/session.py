"""The JMAP Session object (RFC 8620 §2): reading it, and showing it to clients with local URLs. Pure.

URLs are handled as strings: they are templates, and a template must come out byte for byte as it went in, but for
what stands before its path. Every allowed origin that the Session names gets a local prefix, so that one local
origin serves them all:

    https://mail.example.com/jmap/upload/{accountId}/  →  http://127.0.0.1:8620/o-6f2b8c1d9e3a/jmap/upload/{accountId}/
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from jmap_proxy.errors import UpstreamMalformed, UpstreamOriginRefused
from jmap_proxy.origins import Origin, split_url
from jmap_proxy.proxy.endpoint import Endpoint, Kind

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"

ENDPOINTS = {
    "apiUrl": Kind.API,
    "downloadUrl": Kind.DOWNLOAD,
    "uploadUrl": Kind.UPLOAD,
    "eventSourceUrl": Kind.EVENTS,
}

CAPABILITY_ENDPOINTS: dict[str, dict[str, Kind]] = {
    "urn:ietf:params:jmap:blob2": {"uploadUrl": Kind.UPLOAD},
    "urn:ietf:params:jmap:filenode": {"webWriteUrlTemplate": Kind.UPLOAD},
    "com:linagora:params:jmap:ws:ticket": {"generationEndpoint": Kind.CALL, "revocationEndpoint": Kind.CALL},
    "com:linagora:params:downloadAll": {"endpoint": Kind.DOWNLOAD},
}
"""Capability properties that are authenticated endpoints."""

NOT_CARRIED = ("urn:ietf:params:jmap:websocket",)
"""Capabilities of endpoints that this proxy does not serve; left out, so that clients use the event stream."""

DEFAULT_MAX_SIZE_REQUEST = 10_000_000
LARGEST_MAX_SIZE_REQUEST = 64 << 20
"""Bytes; API requests are kept in memory for the retry, so a server cannot ask for more than this."""

_AUTHORITYLESS = re.compile(r"(?:https?|wss?):(?=/(?!/))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an account allows.

    Attributes:
        server: Origin of the configured server.
        allowed: Origins that may get the token, the server's included.
        rewrite: "map": each allowed origin stays what it is; "force": everything is taken to be on `server`.
    """

    server: Origin
    allowed: frozenset[Origin]
    rewrite: Literal["map", "force"] = "map"


@dataclass(frozen=True, slots=True)
class Session:
    """A Session as read.

    Attributes:
        document: The JSON object, without the capabilities that had to be dropped.
        locals: For each URL field (its path of keys): what to write behind the local origin.
        endpoints: What the fields name, heaviest first.
        dropped: Why capabilities had to be left out, for the log.
        max_size_request: Bytes of an API request at most.
        username: Of the signed-in user, "" if the Session does not say.
        mail_account: Id of the user's mail account, else of any account; "" where the server knows nobody.
    """

    document: bytes
    locals: tuple[tuple[tuple[str, ...], str], ...]
    endpoints: tuple[Endpoint, ...]
    dropped: tuple[str, ...]
    max_size_request: int
    username: str = ""
    mail_account: str = ""

    def shown_at(self, local: Origin) -> bytes:
        """The Session as JSON for a client that sees the proxy at `local`."""
        document = msgspec.json.decode(self.document)
        for path, local_part in self.locals:
            place = document
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = f"{local}{local_part}"
        return msgspec.json.encode(document)


@functools.lru_cache(maxsize=256)  # asked for each endpoint at each request
def local_prefix(origin: Origin) -> str:
    """The stable, opaque first path segment that stands for an origin."""
    return "o-" + hashlib.sha256(str(origin).encode()).hexdigest()[:12]


def locate(url: str, base: str) -> tuple[Origin, str]:
    """Resolve a URL or template of a Session against the Session's own URL (RFC 3986 §5), templates intact.

    `wss:/path`, as Cyrus writes it, is a path on the Session's host.

    Raises:
        ValueError: not a URL that can be asked for.
    """
    if not url or not all("!" <= character <= "~" for character in url) or "\\" in url or "#" in url:
        raise ValueError("not a usable URL")
    url = _AUTHORITYLESS.sub("", url, count=1)
    origin, base_rest = split_url(base)
    if url.startswith("//"):
        url = f"{origin.scheme}:{url}"
    elif url.startswith("/"):
        return origin, url
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url):
        found, rest = split_url(url)
        return found, rest if rest.startswith("/") else f"/{rest}"
    path, question_mark, query = url.partition("?")
    return origin, _merge(base_rest.partition("?")[0] or "/", path) + question_mark + query


def _merge(base: str, path: str) -> str:
    """A relative path seen from an absolute one (RFC 3986 §5.2). `urljoin` would drop empty segments."""
    if not path:
        return base
    *folders, last = f"{base.rpartition('/')[0]}/{path}".split("/")[1:]
    kept: list[str] = []
    for segment in [*folders, last] if last in {".", ".."} else folders:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(["", *kept, "" if last in {".", ".."} else last])


def read_session(body: bytes, url: str, policy: Policy) -> Session:
    """Read a Session.

    Args:
        body: JSON.
        url: Where it was found, after redirects.
        policy: Of the account.

    Raises:
        UpstreamMalformed: not a Session; names the field.
        UpstreamOriginRefused: a core endpoint is on an origin that is not allowed; names field and origin.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamMalformed("the server's Session is not JSON", hint="check the account's server") from None
    if not isinstance(document, dict) or not isinstance(document.get("capabilities"), dict):
        raise UpstreamMalformed("the server's answer is not a Session", hint="check the account's server")
    reader = _Reader(url, policy)
    for field, kind in ENDPOINTS.items():
        reader.take(document, (field,), kind)
    dropped = []
    for path, capabilities in _capability_objects(document):
        dropped += reader.take_capabilities(capabilities, path)
    return Session(
        document=msgspec.json.encode(document),
        locals=tuple(reader.locals),
        endpoints=tuple(sorted(reader.endpoints, key=lambda endpoint: -endpoint.weight)),
        dropped=tuple(dropped),
        max_size_request=_max_size_request(document["capabilities"].get(CORE)),
        username=username if isinstance(username := document.get("username"), str) else "",
        mail_account=_mail_account(document),
    )


class _Reader:
    """Collects the URL fields of one Session."""

    def __init__(self, url: str, policy: Policy) -> None:
        self._url = url
        self._policy = policy
        self.locals: list[tuple[tuple[str, ...], str]] = []
        self.endpoints: list[Endpoint] = []

    def take(self, holder: dict[str, Any], path: tuple[str, ...], kind: Kind) -> None:
        """Note the URL in the last field of `path`, which is in `holder`."""
        value, where = holder.get(path[-1]), ".".join(path)
        try:
            if not isinstance(value, str):
                raise ValueError("missing")  # noqa: TRY004, TRY301 - all that is wrong with a field is told one way
            origin, rest = locate(value, self._url)
        except ValueError as error:
            raise UpstreamMalformed(f"the server's Session: {where}: {error}") from None
        if self._policy.rewrite == "force":
            origin = self._policy.server
        if origin not in self._policy.allowed:
            raise UpstreamOriginRefused(
                f"the server's Session: {where} is at {origin}, which may not get the token",
                hint=f'add "{origin}" to the account\'s upstream_origins if you trust it, or set rewrite = "force"',
            )
        self.locals.append((path, f"/{local_prefix(origin)}{rest}"))
        self.endpoints.append(Endpoint.of(kind, origin, rest))

    def take_capabilities(self, capabilities: dict[str, Any], path: tuple[str, ...]) -> list[str]:
        """Note the endpoints of capabilities; those that cannot be had are removed, and told in the result."""
        for name in NOT_CARRIED:
            capabilities.pop(name, None)
        dropped = []
        for name, fields in CAPABILITY_ENDPOINTS.items():
            value = capabilities.get(name)
            if not isinstance(value, dict):
                continue
            before = len(self.locals), len(self.endpoints)
            try:
                for field, kind in fields.items():
                    if field in value:
                        self.take(value, (*path, name, field), kind)
            except (UpstreamMalformed, UpstreamOriginRefused) as error:
                del self.locals[before[0] :], self.endpoints[before[1] :], capabilities[name]
                dropped.append(error.detail)
        return dropped


def _capability_objects(document: dict[str, Any]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """`capabilities` and each account's `accountCapabilities`, with their paths."""
    found: list[tuple[tuple[str, ...], dict[str, Any]]] = [(("capabilities",), document["capabilities"])]
    accounts = document.get("accounts")
    for account_id, account in accounts.items() if isinstance(accounts, dict) else ():
        own = account.get("accountCapabilities") if isinstance(account, dict) else None
        if isinstance(own, dict):
            found.append((("accounts", account_id, "accountCapabilities"), own))
    return found


def _mail_account(document: dict[str, Any]) -> str:
    primary, accounts = document.get("primaryAccounts"), document.get("accounts")
    if not isinstance(accounts, dict):
        return ""
    chosen = primary.get(MAIL) if isinstance(primary, dict) else None
    return chosen if isinstance(chosen, str) and chosen in accounts else next(iter(accounts), "")


def _max_size_request(core: Any) -> int:
    size = core.get("maxSizeRequest") if isinstance(core, dict) else None
    if isinstance(size, int) and size > 0:
        return min(size, LARGEST_MAX_SIZE_REQUEST)
    return DEFAULT_MAX_SIZE_REQUEST

"""The JMAP Session object (RFC 8620 §2): reading it, and showing it to clients with local URLs. Pure.

URLs are handled as strings: they are templates, and a template must come out byte for byte as it went in, but for
what stands before its path. Every allowed origin that the Session names gets a local prefix, so that one local
origin serves them all:

    https://mail.example.com/jmap/upload/{accountId}/  →  http://127.0.0.1:8620/o-6f2b8c1d9e3a/jmap/upload/{accountId}/

Values that hold no such URL are not even decoded: they come out byte for byte too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.errors import UpstreamError, UpstreamMalformed, UpstreamOriginRefused
from jmap_proxy.origins import locate
from jmap_proxy.proxy.session.endpoint import Endpoint, Kind, local_prefix

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.session.policy import Policy

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"

ENDPOINTS = {
    "apiUrl": Kind.API,
    "downloadUrl": Kind.DOWNLOAD,
    "uploadUrl": Kind.UPLOAD,
    "eventSourceUrl": Kind.EVENTS,
}

CAPABILITY_ENDPOINTS: dict[str, dict[str, Kind]] = {
    "urn:ietf:params:jmap:websocket": {"url": Kind.WEBSOCKET},
    "urn:ietf:params:jmap:blob2": {"uploadUrl": Kind.UPLOAD},
    "urn:ietf:params:jmap:filenode": {"webWriteUrlTemplate": Kind.UPLOAD},
    "com:linagora:params:jmap:ws:ticket": {"generationEndpoint": Kind.CALL, "revocationEndpoint": Kind.REVOCATION},
    "com:linagora:params:downloadAll": {"endpoint": Kind.DOWNLOAD},
}
"""Capability properties that are authenticated endpoints."""

DEFAULT_MAX_SIZE_REQUEST = 10_000_000
LARGEST_MAX_SIZE_REQUEST = 64 << 20
"""Bytes; API requests are kept in memory for the retry, so a server cannot ask for more than this."""

MOST_ENDPOINTS = 1000
"""Different endpoints of one Session. Every request is compared with all of them; URLs of accounts are templates, so
that a user of 60,000 accounts has a handful too."""
LONGEST_URLS = 16 << 20
"""Characters of all URLs of a Session together; a short relative one becomes as long as what it is relative to."""
MOST_REASONS = 20
"""Dropped capabilities that are told of."""

_HTTP_MARK, _WS_MARK = b"\0h", b"\0w"
"""Stand in a document for the local origin; JSON has no bare NUL (RFC 8259 §7)."""

_ODD = re.compile(r"[^!-~]")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Members = dict[str, Any]
"""A JSON object: each value a `msgspec.Raw`, or such a dict again."""
_Named = tuple[Endpoint, msgspec.Raw]
"""What a URL names, and the JSON of the marked URL."""


@dataclass(frozen=True, slots=True)
class Session:
    """A Session as read.

    Attributes:
        document: The JSON object, without the capabilities that had to be dropped, marked where local origins go.
        endpoints: What the URL fields name, each once, heaviest first.
        dropped: Why capabilities had to be left out, for the log.
        max_size_request: Bytes of an API request at most.
        policy: By which it was read.
        username: Of the signed-in user, "" if the Session does not say.
        mail_account: Id of the user's mail account, else of any account; "" where the server knows nobody.
    """

    document: bytes
    endpoints: tuple[Endpoint, ...]
    dropped: tuple[str, ...]
    max_size_request: int
    policy: Policy
    username: str = ""
    mail_account: str = ""

    def shown_at(self, local: Origin) -> bytes:
        """The Session as JSON for a client that sees the proxy at `local`; a WebSocket is at ws(s) (RFC 8887 §3.1)."""
        origin = str(local).encode()
        return self.document.replace(_HTTP_MARK, origin).replace(_WS_MARK, b"ws" + origin.removeprefix(b"http"))


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
        body.decode()  # values that are passed on undecoded must be UTF-8 too
        document = _members(body)
        capabilities = None if document is None else _members(document.get("capabilities"))
        if document is None or capabilities is None:
            raise UpstreamMalformed("the server's answer is not a Session", hint="check the account's server")
        return _read(document, capabilities, _Reader(url, policy))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamMalformed("the server's Session is not JSON", hint="check the account's server") from None


def _read(document: _Members, capabilities: _Members, reader: _Reader) -> Session:
    username, primary = _value(document.get("username")), _value(document.get("primaryAccounts"))
    max_size_request = _max_size_request(_value(capabilities.get(CORE)))
    for field, kind in ENDPOINTS.items():
        reader.take(document, (field,), kind)
    document["capabilities"] = reader.take_capabilities(capabilities, ("capabilities",))
    accounts = _members(document.get("accounts"))
    if accounts is not None:
        document["accounts"] = {key: reader.take_account(account, key) for key, account in accounts.items()}
    return Session(
        document=msgspec.json.encode(document),
        endpoints=tuple(sorted(reader.endpoints, key=lambda endpoint: -endpoint.weight)),
        dropped=reader.reasons,
        max_size_request=max_size_request,
        policy=reader.policy,
        username=username if isinstance(username, str) else "",
        mail_account=_mail_account(primary, accounts or {}),
    )


class _Reader:
    """Replaces the URLs of one Session by marked ones, and collects what they name."""

    def __init__(self, url: str, policy: Policy) -> None:
        self.policy = policy
        self.endpoints: dict[Endpoint, None] = {}
        self._url = url
        self._known: dict[tuple[Kind, bytes], _Named] = {}
        self._length = 0
        self._dropped: dict[str, None] = {}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why capabilities were dropped, in a few lines however many they are."""
        more = len(self._dropped) - MOST_REASONS
        return (*list(self._dropped)[:MOST_REASONS], *([f"and {more} more"] if more > 0 else []))

    def take(self, holder: _Members, path: tuple[str, ...], kind: Kind) -> None:
        """Replace the URL in the last field of `path`, which is in `holder`."""
        endpoint, holder[path[-1]] = self._read_url(holder.get(path[-1]), path, kind)
        self.endpoints[endpoint] = None

    def take_account(self, account: msgspec.Raw, account_id: str) -> msgspec.Raw | _Members:
        """The account with its URLs replaced."""
        members = _members(account)
        capabilities = None if members is None else _members(members.get("accountCapabilities"))
        if members is None or capabilities is None:
            return account
        where = ("accounts", account_id, "accountCapabilities")
        return members | {"accountCapabilities": self.take_capabilities(capabilities, where)}

    def take_capabilities(self, capabilities: _Members, path: tuple[str, ...]) -> _Members:
        """The capabilities with their URLs replaced, without those that name what cannot be had."""
        taken = dict(capabilities)
        for name, fields in CAPABILITY_ENDPOINTS.items():
            value = _members(capabilities.get(name))
            if value is None:
                continue
            named = {field: kind for field, kind in fields.items() if field in value}
            try:
                read = {field: self._read_url(value[field], (*path, name, field), named[field]) for field in named}
            except UpstreamError as error:
                del taken[name]
                self._dropped[error.detail] = None
                continue
            taken[name] = value | {field: url for field, (_, url) in read.items()}
            self.endpoints |= dict.fromkeys(endpoint for endpoint, _ in read.values())
        return taken

    def _read_url(self, raw: Any, path: tuple[str, ...], kind: Kind) -> _Named:
        """What the URL of a field names, and what to write there."""
        try:
            key = kind, bytes(raw or b"")
            if key not in self._known:  # accounts mostly name the same
                self._known[key] = self._resolve(_text(raw), path, kind)
            self._length += len(key[1]) + len(self._known[key][1])
            if self._length > LONGEST_URLS:
                raise ValueError(f"all URLs together are longer than {LONGEST_URLS} characters")  # noqa: TRY301
        except ValueError as error:
            raise UpstreamMalformed(f"the server's Session: {_shown(path)}: {error}") from None
        return self._known[key]

    def _resolve(self, url: str, path: tuple[str, ...], kind: Kind) -> _Named:
        origin, rest = self.policy.place(*locate(url, self._url))
        if not self.policy.trusts(origin):
            raise UpstreamOriginRefused(
                f"the server's Session: {_shown(path)} is at {origin}, which may not get the token",
                hint=self.policy.hint_against(origin),
            )
        if len(self._known) >= MOST_ENDPOINTS:
            raise ValueError(f"one more than {MOST_ENDPOINTS} endpoints")
        mark = _WS_MARK if kind is Kind.WEBSOCKET else _HTTP_MARK
        local = msgspec.json.encode(f"/{local_prefix(origin)}{rest}")
        return Endpoint.of(kind, origin, rest), msgspec.Raw(b'"' + mark + local[1:])


def _shown(path: tuple[str, ...]) -> str:
    """A field for an error message; an account's id can be anything."""
    return ".".join(_ODD.sub("?", key)[:80] for key in path)


def _members(raw: Any) -> _Members | None:
    """The members of a JSON object, undecoded; None for what is none."""
    try:
        return None if raw is None else _OBJECT.decode(raw)
    except msgspec.ValidationError:
        return None


def _value(raw: Any) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


def _text(raw: Any) -> str:
    value = _value(raw)
    if not isinstance(value, str):
        raise ValueError("missing")  # noqa: TRY004 - all that is wrong with a field is told one way
    return value


def _mail_account(primary: Any, accounts: _Members) -> str:
    chosen = primary.get(MAIL) if isinstance(primary, dict) else None
    return chosen if isinstance(chosen, str) and chosen in accounts else next(iter(accounts), "")


def _max_size_request(core: Any) -> int:
    size = core.get("maxSizeRequest") if isinstance(core, dict) else None
    if isinstance(size, int) and size > 0:
        return min(size, LARGEST_MAX_SIZE_REQUEST)
    return DEFAULT_MAX_SIZE_REQUEST

"""Which upstream URL a request means. Pure: the raw request target and the Session in, a URL out.

A host name never comes from the request: the first path segment picks one of the origins that the Session names and
the account allows, and the rest must be a path of one of that origin's endpoints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from jmap_proxy.errors import BadPath, MethodRefused, NotAnEndpoint
from jmap_proxy.origins import locate
from jmap_proxy.proxy.session.endpoint import local_prefix

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.session.endpoint import Kind
    from jmap_proxy.proxy.session.session import Session

WELL_KNOWN = frozenset({"/.well-known/jmap", "/.well-known/jmap/"})
"""The Session's local paths; some clients ask with a slash at the end (measured: Cypht)."""

REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
"""Statuses of answers that are of no use but for their Location."""

_URL_CHARACTERS = re.compile(r"[!\"$-\[\]-~]+")
"""Printable ASCII but for "#" and the backslash."""

_SEPARATOR = re.compile(rb"[/\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes; `url` is to be sent as it is, without any further quoting."""

    kind: Kind
    origin: Origin
    url: str


def is_session_path(raw_path: str) -> bool:
    """Whether the request is for the Session; a query does not matter."""
    return raw_path.partition("?")[0] in WELL_KNOWN


def check_path(raw_path: str) -> None:
    """See that the request target means the same to everybody.

    Raises:
        BadPath: absolute form, characters that no URL has, or dot segments in any spelling; servers resolve those
            after the proxy has decided.
    """
    if not raw_path.startswith("/"):
        raise BadPath("the request target is not a path", hint="point the client at the Session URL itself")
    if not _URL_CHARACTERS.fullmatch(raw_path):
        raise BadPath("the request target holds a character that no URL has", hint="percent-encode it")
    path_text = raw_path.partition("?")[0]
    if "." not in path_text and "%" not in path_text:
        return  # no dot in any spelling
    path = unquote_to_bytes(path_text)
    if any(segment.partition(b";")[0] in (b".", b"..") for segment in _SEPARATOR.split(path)) or b"\0" in path:
        raise BadPath("the request target has dot segments", hint="send the URL as the Session gives it")


def resolve(method: str, raw_path: str, session: Session) -> Target:
    """The upstream URL of a request whose path has been checked.

    Raises:
        NotAnEndpoint: the path is under no endpoint.
        MethodRefused: it is, but not for this method.
    """
    prefix, slash, rest = raw_path.removeprefix("/").partition("/")
    path = slash + rest.partition("?")[0]
    found = [endpoint for endpoint in session.endpoints if endpoint.prefix == prefix and endpoint.matches(path)]
    if not found:
        raise NotAnEndpoint(
            "the path is under no endpoint of the server's Session", hint="use the URLs of /.well-known/jmap"
        )
    for endpoint in found:
        if method in endpoint.methods:
            return Target(endpoint.kind, endpoint.origin, f"{endpoint.origin}{slash}{rest}")
    raise MethodRefused(method, frozenset().union(*(endpoint.methods for endpoint in found)))


def local_location(location: str, target: Target, session: Session) -> str | None:
    """Where a client may follow an upstream redirect to: a local path, or None if it leads out of the endpoints.

    Args:
        location: Value of Location (RFC 9110 §10.2.2).
        target: Of the request that was redirected; relative locations are resolved against it.
        session: Names the endpoints, and what is made of a location that does not know where the server is.
    """
    try:
        origin, rest = session.policy.place(*locate(location, target.url))
    except ValueError:
        return None
    local = f"/{local_prefix(origin)}{rest}"
    try:
        check_path(local)
        resolve("GET", local, session)
    except MethodRefused:
        return local  # an endpoint for another method: where 307 and 308 lead
    except (BadPath, NotAnEndpoint):
        return None
    return local

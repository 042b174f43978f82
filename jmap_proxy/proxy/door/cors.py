"""Cross-origin resource sharing (Fetch §3.3), for the web clients that the configuration names. Pure.

Only allowed origins come here: `access` refuses the others before. Never `*` as the origin, and no
Access-Control-Allow-Credentials: a web client shows its key in Authorization itself, and the browser adds nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = "DELETE, GET, HEAD, POST, PUT"
"""What endpoints take; whether this one does is told by the answer to the request itself."""

MAX_AGE = 7200
"""Seconds that a browser may remember a preflight; Chromium's own limit. The request itself is always checked."""

_FIELD_NAMES = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:,[ \t]*|\Z))+")


def is_preflight(method: str, fields: Mapping[str, str]) -> bool:
    """Whether a browser asks if a page may send a request (Fetch §4.8); it does so without a key.

    Args:
        method: Of the request.
        fields: Its header, names in any case.
    """
    return method == "OPTIONS" and "Origin" in fields and "Access-Control-Request-Method" in fields


def preflight_fields(web_origin: str, asked: Mapping[str, str]) -> list[tuple[str, str]]:
    """The header fields of the answer to an allowed origin's preflight.

    The header fields that it asks for are all granted: whoever sends them, `headers` decides what goes on.

    Args:
        web_origin: The page's origin, which is allowed.
        asked: Header of the preflight, names in any case.
    """
    fields = [
        ("Access-Control-Allow-Origin", web_origin),
        ("Access-Control-Allow-Methods", METHODS),
        ("Access-Control-Max-Age", str(MAX_AGE)),
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
    names = asked.get("Access-Control-Request-Headers", "")
    if _FIELD_NAMES.fullmatch(names):
        fields.append(("Access-Control-Allow-Headers", names))
    if asked.get("Access-Control-Request-Private-Network") == "true":
        fields.append(("Access-Control-Allow-Private-Network", "true"))
    return fields


def cors_fields(web_origin: str) -> list[tuple[str, str]]:
    """The header fields by which an allowed web client may read an answer; none for other clients.

    They are added to the answer's own; a second Vary means both together (RFC 9110 §5.3). All fields may be read
    (Retry-After, Location, Content-Disposition, …): `*` holds for requests without the browser's own credentials.
    """
    if not web_origin:
        return []
    return [("Access-Control-Allow-Origin", web_origin), ("Access-Control-Expose-Headers", "*"), ("Vary", "Origin")]

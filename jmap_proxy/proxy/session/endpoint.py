"""An endpoint that a Session names: what it is for, where it is and which request paths are its own. Pure."""

from __future__ import annotations

import enum
import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin

_VARIABLE = re.compile(r"\{[^{}]*\}")


class Kind(enum.Enum):
    """What an endpoint is for; it decides how requests and answers are carried."""

    API = "api"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    EVENTS = "events"
    WEBSOCKET = "websocket"
    CALL = "call"
    """A small request and answer of a capability of its own."""
    REVOCATION = "revocation"
    """As above; what is to be revoked is named by a further path segment (measured: the ticket of Twake Mail)."""


METHODS = {
    Kind.API: frozenset({"POST"}),
    Kind.UPLOAD: frozenset({"POST", "PUT"}),
    Kind.DOWNLOAD: frozenset({"GET", "HEAD"}),
    Kind.EVENTS: frozenset({"GET"}),
    Kind.WEBSOCKET: frozenset({"GET"}),
    Kind.CALL: frozenset({"DELETE", "GET", "POST", "PUT"}),
    Kind.REVOCATION: frozenset({"DELETE"}),
}


@functools.lru_cache(maxsize=256)
def local_prefix(origin: Origin) -> str:
    """The stable, opaque first path segment that stands for an origin."""
    return "o-" + hashlib.sha256(str(origin).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Attributes:
        kind: What it is for.
        origin: Where it is.
        literals: What stands between the variables of its path, a level-1 template (RFC 6570).
        prefix: First segment of its local path.
    """

    kind: Kind
    origin: Origin
    literals: tuple[str, ...]
    prefix: str

    @classmethod
    def of(cls, kind: Kind, origin: Origin, template: str) -> Endpoint:
        """The endpoint of a URL template without its origin. The query does not count: clients build their own."""
        path = template.partition("?")[0] or "/"
        if kind is Kind.REVOCATION:
            path = f"{path.removesuffix('/')}/{{named}}"
        return cls(kind, origin, tuple(_VARIABLE.split(path)), local_prefix(origin))

    @property
    def weight(self) -> int:
        """Number of literal characters; of several endpoints that match, the heaviest is meant."""
        return sum(map(len, self.literals))

    def matches(self, path: str) -> bool:
        """Whether the path is its own; a variable matches anything.

        Not a regular expression: with many variables that would take for ever on a path that does not match.
        """
        first, *between = self.literals
        if not between:
            return path == first
        position, end = len(first), len(path) - len(between[-1])
        if position > end or not path.startswith(first) or not path.endswith(between[-1]):
            return False
        for literal in between[:-1]:
            found = path.find(literal, position, end)
            if found < 0:
                return False
            position = found + len(literal)
        return True

    @property
    def methods(self) -> frozenset[str]:
        """The HTTP methods that it takes."""
        return METHODS[self.kind]

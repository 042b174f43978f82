"""An endpoint that a Session names: what it is for, where it is and which request paths are its own. Pure."""

from __future__ import annotations

import enum
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
    CALL = "call"
    """A small request and answer of a capability of its own."""


METHODS = {
    Kind.API: frozenset({"POST"}),
    Kind.UPLOAD: frozenset({"POST", "PUT"}),
    Kind.DOWNLOAD: frozenset({"GET", "HEAD"}),
    Kind.EVENTS: frozenset({"GET"}),
    Kind.CALL: frozenset({"DELETE", "GET", "POST", "PUT"}),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Attributes:
        kind: What it is for.
        origin: Where it is.
        pattern: The paths that are its own; the variables of a level-1 template (RFC 6570) match anything.
        weight: Number of literal characters; of several endpoints that match, the heaviest is meant.
    """

    kind: Kind
    origin: Origin
    pattern: re.Pattern[str]
    weight: int

    @classmethod
    def of(cls, kind: Kind, origin: Origin, template: str) -> Endpoint:
        """The endpoint of a URL template without its origin. The query does not count: clients build their own."""
        path = template.partition("?")[0] or "/"
        literals = _VARIABLE.split(path)
        pattern = ".*".join(re.escape(literal) for literal in literals)
        return cls(kind, origin, re.compile(pattern, re.DOTALL), sum(map(len, literals)))

    @property
    def methods(self) -> frozenset[str]:
        """The HTTP methods that it takes."""
        return METHODS[self.kind]

"""Challenges of a 401: `WWW-Authenticate` (RFC 9110 §11.6.1), several in a field and in several fields. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 §5.6.2
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))+', re.DOTALL)  # a quote that stays open ends the field
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|{_QUOTED})", re.DOTALL)
_CHALLENGE = re.compile(rf"({_TOKEN})(?:[ \t]+(.*))?", re.DOTALL)

LONGEST = 8 << 10
"""Characters of a field that are read; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that a server offers.

    Attributes:
        scheme: In lower case, such as "bearer".
        parameters: By name in lower case; a `token68` is none and is passed over.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(fields: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of all `WWW-Authenticate` fields, in order; what cannot be understood is passed over."""
    return tuple(challenge for value in fields for challenge in _of_field(value[:LONGEST]))


def bearer(challenges: Iterable[Challenge]) -> Challenge | None:
    """The challenge of OAuth (RFC 6750 §3), the one that says most if there are several; None if there is none."""
    offered = [challenge for challenge in challenges if challenge.scheme == "bearer"]
    return max(offered, key=lambda challenge: "resource_metadata" in challenge.parameters, default=None)


def _of_field(value: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    for element in _ELEMENT.findall(value):
        text = element.strip(" \t")
        if parameter := _PARAMETER.fullmatch(text):
            parameters.setdefault(parameter[1].lower(), _unquoted(parameter[2]))
        elif begin := _CHALLENGE.fullmatch(text):
            if scheme:
                yield Challenge(scheme, parameters)
            scheme, parameters = begin[1].lower(), {}
            if first := _PARAMETER.fullmatch((begin[2] or "").strip(" \t")):
                parameters[first[1].lower()] = _unquoted(first[2])
    if scheme:
        yield Challenge(scheme, parameters)


def _unquoted(value: str) -> str:
    """A token as it is, a quoted string without its quotes and backslashes (RFC 9110 §5.6.4)."""
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL) if value.startswith('"') else value

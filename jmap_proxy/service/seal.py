"""A line by which a file tells that it was written here, and not changed since. Pure."""

from __future__ import annotations

import hashlib
import re

_SAYS = "written by jmap-proxy service install, which refuses to replace what was changed since; checksum"
_LINE = re.compile(rf"^(?:# |<!-- ){_SAYS} (?P<checksum>[0-9a-f]{{64}})(?: -->)?\n", re.MULTILINE)


def sealed_unit(text: str) -> str:
    """The text of a unit with the line before it."""
    return f"# {_SAYS} {_checksum(text)}\n{text}"


def sealed_agent(text: str) -> str:
    """The text of a property list with the line behind that of the XML declaration."""
    declaration, _, rest = text.partition("\n")
    return f"{declaration}\n<!-- {_SAYS} {_checksum(text)} -->\n{rest}"


def is_untouched(text: str) -> bool:
    """Whether the text is as it was written here."""
    lines = list(_LINE.finditer(text))
    if len(lines) != 1:
        return False
    return _checksum(_LINE.sub("", text)) == lines[0]["checksum"]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

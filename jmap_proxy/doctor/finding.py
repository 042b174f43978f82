"""A finding of the doctor: a value. Pure. Holds no secret."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jmap_proxy.errors import JmapProxyError

SHORTEST_SECRET = 8
"""Characters; what is shorter stands in ordinary words too, and is no secret of a provider's."""


class Level(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    INFO = "info"
    """Good to know; nothing needs to be done."""

    WARNING = "warning"
    """It works now, or in part."""

    ERROR = "error"
    """Something does not work, or is open to others."""


class Finding(msgspec.Struct, frozen=True):
    """What was found at one place.

    Attributes:
        code: Names the kind of finding; stays the same between versions.
        level: How bad it is.
        what: What was seen, in a sentence.
        mend: What to do: a command, a config key, or whom to ask; "" where all is well.
        account: Which account it is about, "" for all.
    """

    code: str
    level: Level
    what: str
    mend: str = ""
    account: str = ""


def ok(code: str, what: str, account: str = "") -> Finding:
    """All is well there."""
    return Finding(code, Level.OK, what, account=account)


def info(code: str, what: str, mend: str, account: str = "") -> Finding:
    """Good to know."""
    return Finding(code, Level.INFO, what, mend, account)


def warning(code: str, what: str, mend: str, account: str = "") -> Finding:
    """It works for now, or in part."""
    return Finding(code, Level.WARNING, what, mend, account)


def error(code: str, what: str, mend: str, account: str = "") -> Finding:
    """Something does not work, or is open to others."""
    return Finding(code, Level.ERROR, what, mend, account)


def told(code: str, trouble: JmapProxyError, account: str = "", *, mend: str = "") -> Finding:
    """An error of the program's as a finding; `mend` is for errors that have no hint."""
    return error(code, trouble.detail, trouble.hint or mend, account)


def fails(findings: Iterable[Finding]) -> bool:
    """Whether there is an error among them."""
    return any(finding.level is Level.ERROR for finding in findings)


def redacted(finding: Finding, secrets: Iterable[str]) -> Finding:
    """The finding as it may be shown anywhere.

    Nothing in it should be secret. But what a server says is repeated here and there, and a server knows the token:
    neither that nor a character that a terminal obeys comes through.
    """

    def clean(text: str) -> str:
        for secret in secrets:
            if len(secret) >= SHORTEST_SECRET:
                text = re.sub(re.escape(secret), "[secret]", text, flags=re.IGNORECASE)
        return "".join(character if character.isprintable() else "?" for character in text)

    return msgspec.structs.replace(finding, what=clean(finding.what), mend=clean(finding.mend))


def without_home(finding: Finding, home: str) -> Finding:
    """The finding with "~" for the home folder, whose name can tell who the user is."""
    folder = home.rstrip("/")
    if not folder:
        return finding
    inside = re.compile(re.escape(folder) + r"(?![\w.-])")
    what, mend = inside.sub("~", finding.what), inside.sub("~", finding.mend)
    return msgspec.structs.replace(finding, what=what, mend=mend)

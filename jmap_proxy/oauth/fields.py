"""What answers of providers are made of, read without trust: JSON objects and printable words. Pure."""

from __future__ import annotations

import json
from typing import Any


def json_object(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; none if it is no such thing."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def printable(value: Any) -> str:
    """A value of printable ASCII (RFC 6749 appendix A), "" for whatever else; half a surrogate could not be stored."""
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""

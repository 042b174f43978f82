"""Result references (RFC 8620 §3.7): arguments taken from earlier calls' results. Pure functions."""

from typing import Any


class ReferenceUnresolvedError(Exception):
    """A result reference that leads nowhere."""


def resolved(arguments: dict[str, Any], earlier: list[list[Any]]) -> dict[str, Any]:
    """Return a call's arguments with every `#name` replaced by what it refers to.

    Args:
        arguments: The call's arguments.
        earlier: The responses so far: name, result, call id.

    Raises:
        ReferenceUnresolvedError: A reference leads nowhere.
    """
    return {
        name.removeprefix("#"): _looked_up(value, earlier) if name.startswith("#") else value
        for name, value in arguments.items()
    }


def _looked_up(reference: Any, earlier: list[list[Any]]) -> Any:
    if not isinstance(reference, dict):
        raise ReferenceUnresolvedError("a result reference is an object")
    for name, result, call_id in earlier:
        if call_id == reference.get("resultOf") and name == reference.get("name"):
            return _pointed(result, str(reference.get("path", "")).split("/")[1:])
    raise ReferenceUnresolvedError("no earlier call has this id and name")


def _pointed(value: Any, path: list[str]) -> Any:
    """Follow a JSON pointer in which `*` maps over an array, flattening one level."""
    for index, raw in enumerate(path):
        key = raw.replace("~1", "/").replace("~0", "~")
        if key == "*" and isinstance(value, list):
            return _flat([_pointed(item, path[index + 1 :]) for item in value])
        value = _member(value, key)
    return value


def _member(value: Any, key: str) -> Any:
    if isinstance(value, dict) and key in value:
        return value[key]
    if isinstance(value, list) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    raise ReferenceUnresolvedError(f"there is nothing at {key!r}")


def _flat(items: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        flat.extend(item if isinstance(item, list) else [item])
    return flat

"""Stored tokens of earlier forms, read as the present one. Pure."""

from __future__ import annotations

from typing import Any


def migrated(document: dict[str, Any]) -> dict[str, Any]:
    """The document in the present form; one of a form that this program does not know is left as it is.

    Form 1 knew neither the sign-in's time nor whether the provider rotates; form 2 no registered clients, form 3 no
    user name.
    """
    version = document.get("schema_version")
    if version not in (1, 2, 3) or isinstance(version, bool):
        return document
    first = version == 1 and document.get("generation") == 1
    known = {"signed_in_at": document.get("obtained_at", 0.0)} if first else {}
    return {**document, **known, "schema_version": 4}

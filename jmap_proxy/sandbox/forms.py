"""What the endpoints that take forms share: reading one, and refusing in the words of RFC 6749 §5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from jmap_proxy.sandbox.grants import GrantError

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_STORE = {hdrs.CACHE_CONTROL: "no-store", hdrs.PRAGMA: "no-cache"}
FORM = "application/x-www-form-urlencoded"


async def form_of(request: web.Request) -> dict[str, str]:
    """Read the form. A body that is no form counts as an empty one; of a repeated key the last one counts."""
    fields = await request.post() if request.content_type == FORM else {}
    return {key: str(value) for key, value in fields.items()}


def needed(form: Mapping[str, str], key: str) -> str:
    """A field that must be there.

    Raises:
        GrantError: `invalid_request`.
    """
    if not form.get(key):
        raise GrantError("invalid_request", f"{key} is missing")
    return form[key]


def refusal(error: GrantError, authorization: str) -> web.Response:
    """The error answer of RFC 6749 §5.2: 401 for a client that is not known, else 400."""
    body = {"error": error.code, "error_description": error.description}
    unknown = error.code == "invalid_client"
    headers = dict(NO_STORE)
    if unknown and authorization:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="sandbox"'
    return web.json_response(body, status=401 if unknown else 400, headers=headers)

import asyncio
import json
from unittest import mock

import pytest
from aiohttp import StreamReader, hdrs, web
from aiohttp.test_utils import make_mocked_request

from jmap_proxy.sandbox.forms import FORM, form_of, needed, refusal
from jmap_proxy.sandbox.grants import GrantError


def request(body: bytes, content_type: str) -> web.Request:
    """A request with that body."""
    payload = StreamReader(mock.Mock(_reading_paused=False), 1 << 16, loop=asyncio.get_running_loop())
    payload.feed_data(body)
    payload.feed_eof()
    return make_mocked_request("POST", "/token", headers={"Content-Type": content_type}, payload=payload)


@pytest.mark.parametrize(
    ("content_type", "fields"),
    [(FORM, {"a": "2 3", "b": ""}), ("application/json", {}), (f"{FORM}; x=y", {"a": "2 3", "b": ""})],
)
async def test_the_last_of_a_repeated_field_counts(content_type: str, fields: dict[str, str]) -> None:
    """A body that is no form is an empty one."""
    assert await form_of(request(b"a=1&a=2+3&b=", content_type)) == fields


@pytest.mark.parametrize("form", [{}, {"code": ""}])
def test_a_field_that_is_missing_or_empty_is_named(form: dict[str, str]) -> None:
    """As RFC 6749 §5.2 has it."""
    with pytest.raises(GrantError) as caught:
        needed(form, "code")
    assert (caught.value.code, caught.value.description) == ("invalid_request", "code is missing")
    assert needed({"code": "x"}, "code") == "x"


@pytest.mark.parametrize(
    ("code", "authorization", "status", "challenged"),
    [
        ("invalid_grant", "Basic eDp5", 400, False),
        ("invalid_client", "", 401, False),
        ("invalid_client", "Basic eDp5", 401, True),
    ],
)
def test_a_refusal(code: str, authorization: str, status: int, *, challenged: bool) -> None:
    """A challenge comes only to a client that has shown itself by Authorization; nothing is kept by caches."""
    answer = refusal(GrantError(code, "why"), authorization)
    assert (answer.status, hdrs.WWW_AUTHENTICATE in answer.headers) == (status, challenged)
    assert json.loads(answer.text or "") == {"error": code, "error_description": "why"}
    assert answer.headers[hdrs.CACHE_CONTROL] == "no-store"

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox.mail_endpoints import Target, target_of
from tests.sandbox.helpers import GOOD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession

    from jmap_proxy.sandbox import MailServer


@pytest.mark.parametrize(
    ("raw_path", "target"),
    [
        ("/.well-known/jmap?x=/jmap/api", Target("well-known")),
        ("/jmap/api/", Target("api", "POST")),
        ("/jmap/ws/", Target("websocket")),
        ("/jmap/ws/ticket", Target("ticket", "POST")),
        ("/jmap/ws/ticket/t", Target("ticket", "DELETE", named="t")),
        ("/jmap/upload2/a/", Target("upload2", "POST", "a")),
        ("/downloadAll/a/e?name=x", Target("download-all", "GET", "a", named="e")),
        ("/download/a/b?type=x", Target("download", "GET", "a", "b")),
        ("/eventSource?x", Target("events")),
        ("/jmap/event/", Target("events")),
        ("/jmap", Target("api", "POST")),
        ("/jmap/upload/a%2Fb/", Target("upload", "POST", "a/b")),
        ("/jmap/upload/a", Target("upload", "POST", "a")),
        ("/jmap/download/a/b/c/d", Target("download", "GET", "a", "b")),
        ("/jmap/download//b/", Target("download", "GET", "", "b")),
        ("/jmap/download/a", None),
        ("//jmap/api", None),
    ],
)
def test_the_raw_path_says_which_endpoint_is_meant(raw_path: str, target: Target | None) -> None:
    """Segments are told apart before they are unescaped, and none is lost."""
    assert target_of(raw_path) == target


def test_api_and_session_can_share_a_path() -> None:
    """The method tells them apart (Cyrus)."""
    assert target_of("/jmap/", "GET") == Target("session")
    assert target_of("/jmap/", "POST") == Target("api", "POST")


CORE = "urn:ietf:params:jmap:core"


async def api(http: ClientSession, mail: MailServer, body: Any, **headers: str) -> tuple[int, Any]:
    """Send an API request; return status and answer."""
    sent = {**GOOD, "Content-Type": "application/json", **headers}
    data = body if isinstance(body, bytes) else json.dumps(body)
    async with http.post(f"{mail.base_url}/jmap/api", headers=sent, data=data) as response:
        return response.status, await response.json(content_type=None)


async def test_an_api_request_is_answered_with_the_session_state(mail: MailServer, http: ClientSession) -> None:
    """A Response carries the Session's own state."""
    async with http.get(mail.session_url, headers=GOOD) as response:
        state = (await response.json())["state"]
    body = {"using": [CORE], "methodCalls": [["Core/echo", {"ü": 1}, "c"]]}
    assert await api(http, mail, body) == (
        200,
        {"methodResponses": [["Core/echo", {"ü": 1}, "c"]], "sessionState": state},
    )


async def test_a_request_that_is_too_large_is_a_limit_problem(mail: MailServer, http: ClientSession) -> None:
    """More octets than maxSizeRequest get the problem that names the limit."""
    mail.settings.max_size_request = 100
    status, problem = await api(http, mail, b" " * 101)
    assert (status, problem["limit"]) == (400, "maxSizeRequest")
    assert problem["type"] == "urn:ietf:params:jmap:error:limit"


async def test_only_json_is_taken(mail: MailServer, http: ClientSession) -> None:
    """Another content type, or text that is no JSON, is notJSON, as problem+json."""
    status, problem = await api(http, mail, b"{", **{"Content-Type": "text/plain"})
    assert (status, problem["type"]) == (400, "urn:ietf:params:jmap:error:notJSON")
    assert (await api(http, mail, b"{"))[1]["type"] == problem["type"]


async def test_an_upload_comes_back(mail: MailServer, http: ClientSession) -> None:
    """A small upload can be downloaded again, with the type that is asked for."""
    url = f"{mail.base_url}/jmap/upload/odd%2Fid/"
    async with http.post(url, headers={**GOOD, "Content-Type": "text/x"}, data=b"hello") as response:
        assert response.status == 201
        blob = await response.json()
    assert (blob["accountId"], blob["type"], blob["size"]) == ("odd/id", "text/x", 5)
    url = f"{mail.base_url}/jmap/download/a/{blob['blobId']}/name?accept=text%2Fy"
    async with http.get(url, headers=GOOD) as response:
        assert (response.content_type, await response.read()) == ("text/y", b"hello")


async def test_a_messages_blob_is_its_text(mail: MailServer, http: ClientSession) -> None:
    """The blob of an Email is an RFC 5322 message."""
    async with http.get(f"{mail.base_url}/jmap/download/a/msg-0/x", headers=GOOD) as response:
        assert response.content_type == "application/octet-stream"
        assert (await response.read()).startswith(b"From: ")


async def test_an_upload_beyond_the_limit_is_413(mail: MailServer, http: ClientSession) -> None:
    """The limit holds whether the length is announced or comes in chunks, and nothing is stored."""
    mail.settings.max_size_upload = 10

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 11

    for data in (b"x" * 11, chunks()):
        async with http.post(f"{mail.base_url}/jmap/upload/a/", headers=GOOD, data=data) as response:
            assert response.status == 413
            assert (await response.json(content_type=None))["limit"] == "maxSizeUpload"
    assert mail.uploads == {}


@pytest.mark.parametrize("blob_id", ["b-unknown", "msg-12", "big-x"])
async def test_an_unknown_blob_is_404(mail: MailServer, http: ClientSession, blob_id: str) -> None:
    """What was never uploaded, and no message has, is not found."""
    async with http.get(f"{mail.base_url}/jmap/download/a/{blob_id}/x", headers=GOOD) as response:
        assert response.status == 404

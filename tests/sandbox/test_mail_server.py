from __future__ import annotations

import asyncio
import hashlib
import logging

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession, ServerDisconnectedError
from yarl import URL

from jmap_proxy.sandbox import Fault, MailServer, MailSettings
from tests.sandbox.helpers import GOOD


@pytest.mark.parametrize("header", [None, "Bearer bad", "Basic Z29vZDo=", "Bearer", "Bearer ", "good"])
async def test_a_token_that_is_not_good_is_refused(mail: MailServer, http: ClientSession, header: str | None) -> None:
    """Anything but a good bearer token gets 401, a Bearer challenge and a page that is no JSON."""
    headers = {"Authorization": header} if header else {}
    async with http.get(mail.session_url, headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="sandbox", error="invalid_token"'
        assert response.content_type == "text/html"
    assert mail.requests[-1].status == 401


async def test_two_authorization_headers_are_none(mail: MailServer, http: ClientSession) -> None:
    """Which of two headers counts is not guessed."""
    headers = [("Authorization", "Bearer good"), ("Authorization", "Bearer good")]
    async with http.get(mail.session_url, headers=headers) as response:
        assert response.status == 401


async def test_living_tokens_can_be_refused(mail: MailServer, http: ClientSession) -> None:
    """One token, or all of them, can be refused though they are alive."""
    mail.refused_tokens.add("good")
    async with http.get(mail.session_url, headers=GOOD) as response:
        assert response.status == 401
    mail.refused_tokens.clear()
    mail.refuse_all = True
    async with http.get(mail.session_url, headers=GOOD) as response:
        assert response.status == 401
    mail.refuse_all = False
    async with http.get(mail.session_url, headers={"Authorization": "bearer good"}) as response:
        assert response.status == 200


async def test_requests_are_recorded_as_received(mail: MailServer, http: ClientSession) -> None:
    """Path and query stand in the record octet by octet, with headers, token and status, in no repr."""
    path = "/jmap/download/a%2Fb//x%20y/n?accept={type}&p=%2A"
    async with http.get(URL(mail.base_url + path, encoded=True), headers=GOOD):
        pass
    record = mail.requests[-1]
    assert (record.method, record.raw_path, record.token, record.status) == ("GET", path, "good", 404)
    assert record.headers["authorization"] == "Bearer good"
    assert "good" not in repr(record)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("GET", "/jmap/api", 405)])
async def test_what_does_not_exist_is_said_plainly(
    mail: MailServer, http: ClientSession, method: str, path: str, status: int
) -> None:
    """An unknown path is 404 and a wrong method 405, recorded as such."""
    async with http.request(method, mail.base_url + path, headers=GOOD) as response:
        assert response.status == status
    assert mail.requests[-1].status == status


@pytest.mark.parametrize("path", ["/.well-known/jmap", "/.well-known/jmap/", "/jmap/session"])
async def test_the_session_is_found(mail: MailServer, http: ClientSession, path: str) -> None:
    """The Session answers 200 at each of its paths, and must not be cached."""
    async with http.get(mail.base_url + path, headers=GOOD) as response:
        session = await response.json()
        assert response.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert session["username"] == "demo"


async def test_the_well_known_path_can_redirect(mail: MailServer, http: ClientSession) -> None:
    """With `redirect` the well-known path answers with a relative 307."""
    mail.settings.well_known = "redirect"
    async with http.get(mail.session_url, headers=GOOD, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "/jmap/session")


async def test_a_session_for_nobody(mail: MailServer, http: ClientSession) -> None:
    """With `anonymous_session` no header gets 200 and no accounts, a bad token still 401."""
    mail.settings.anonymous_session = True
    async with http.get(mail.session_url) as response:
        session = await response.json()
    assert (session["accounts"], session["primaryAccounts"], session["username"]) == ({}, {}, "")
    async with http.get(mail.session_url, headers={"Authorization": "Bearer bad"}) as response:
        assert response.status == 401
    async with http.post(f"{mail.base_url}/jmap/api") as response:
        assert response.status == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer bad"}, {"Authorization": "Basic YTpi"}])
async def test_a_server_can_be_open_to_anybody(mail: MailServer, http: ClientSession, headers: dict[str, str]) -> None:
    """With `open_session` a full Session and the mail are everybody's, whatever is shown."""
    mail.settings.open_session = True
    async with http.get(mail.session_url, headers=headers) as response:
        assert (response.status, list((await response.json())["accounts"])) == (200, ["u-demo"])
    async with http.post(
        f"{mail.base_url}/jmap/api", headers=headers, json={"using": [], "methodCalls": []}
    ) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/", "/.well-known/jmap", "/.well-known/oauth-protected-resource", "/nothing"])
async def test_a_host_can_know_nothing_of_jmap(mail: MailServer, http: ClientSession, path: str) -> None:
    """With `only_pages` everything is a web page."""
    mail.settings.only_pages = True
    async with http.get(mail.base_url + path) as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_a_fault_is_met_at_its_place(mail: MailServer, http: ClientSession) -> None:
    """The Session's fault place covers the well-known path, and a fault's status is recorded."""
    mail.faults.add("session", Fault(status=502))
    async with http.get(mail.session_url, headers=GOOD) as response:
        assert response.status == 502
    assert mail.requests[-1].status == 502


async def test_a_download_can_be_cut(mail: MailServer, http: ClientSession) -> None:
    """A cut download gives so many octets and then a closed connection."""
    mail.faults.add("download", Fault(cut_after=300_000))
    async with http.get(f"{mail.base_url}/jmap/download/a/big-1000000/x", headers=GOOD) as response:
        got = await response.content.readexactly(300_000)
        with pytest.raises(ClientPayloadError):
            await response.read()
    assert got == (bytes(range(256)) * 1200)[:300_000]


async def test_a_cut_beyond_the_end_loses_nothing(mail: MailServer, http: ClientSession) -> None:
    """A download that is shorter than its cut arrives whole."""
    mail.faults.add("download", Fault(cut_after=300_000))
    async with http.get(f"{mail.base_url}/jmap/download/a/big-3/x", headers=GOOD) as response:
        assert await response.read() == bytes(range(3))


@pytest.mark.parametrize("place", ["download", "events"])
async def test_a_streamed_answer_can_be_lost_whole(
    mail: MailServer, http: ClientSession, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`drop` at a streaming endpoint closes before the head, with no error in the server's log."""
    caplog.set_level(logging.ERROR)
    mail.faults.add(place, Fault(drop=True, count=2))  # aiohttp repeats a GET once
    path = {"download": "/jmap/download/a/big-9/x", "events": "/jmap/events"}[place]
    with pytest.raises(ServerDisconnectedError):
        await http.get(mail.base_url + path, headers=GOOD)
    assert caplog.text == ""
    assert mail.streams == 0


async def test_a_client_that_leaves_ends_its_handler(mail: MailServer, http: ClientSession) -> None:
    """A held request whose client leaves is never answered: its record keeps status 0."""
    fault = mail.faults.add("api", Fault(hold=asyncio.Event()))
    pending = asyncio.create_task(_post(http, mail))
    await fault.entered.wait()
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert mail.requests[-1].status == 0


async def test_shutdown_is_prompt_and_ends_requests_in_flight(http: ClientSession) -> None:
    """A held request and an open stream do not keep the server from ending within a second."""
    loop = asyncio.get_running_loop()
    async with MailServer({"good": "demo"}.get, settings=MailSettings(message_count=1)) as mail:
        fault = mail.faults.add("api", Fault(hold=asyncio.Event()))
        pending = asyncio.create_task(_post(http, mail))
        stream = await http.get(f"{mail.base_url}/jmap/events", headers=GOOD)
        await fault.entered.wait()
        assert mail.streams == 1
        start = loop.time()
    assert loop.time() - start < 1
    assert await stream.read() == b""
    with pytest.raises(ClientError):
        await pending


async def test_a_big_upload_and_download_agree(mail: MailServer, http: ClientSession) -> None:
    """What one large blob's download gives can be uploaded in a stream, and the digests agree."""
    size = 20_000_000
    async with http.get(f"{mail.base_url}/jmap/download/a/big-{size}/x", headers=GOOD) as response:
        assert response.content_length == size
        url = f"{mail.base_url}/jmap/upload/a/"
        async with http.post(url, headers=GOOD, data=response.content.iter_any()) as answer:
            blob_id = (await answer.json())["blobId"]
    expected = hashlib.sha256((bytes(range(256)) * (size // 256 + 1))[:size]).hexdigest()
    assert mail.uploads == {blob_id: (size, expected)}


async def _post(http: ClientSession, mail: MailServer) -> int:
    """Send an API request; return the status."""
    async with http.post(f"{mail.base_url}/jmap/api", headers=GOOD, json={}) as response:
        return response.status

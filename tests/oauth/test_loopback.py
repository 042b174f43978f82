from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from jmap_proxy.errors import SignInError
from jmap_proxy.oauth.loopback import LoopbackRedirect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import ClientSession


def belongs(parameters: Mapping[str, list[str]]) -> bool:
    """Whether the state is ours."""
    return parameters.get("state") == ["ours"]


def judge(parameters: Mapping[str, list[str]]) -> str:
    """The code; a bad one is told with what it was."""
    code = parameters["code"][0]
    if code == "bad":
        raise SignInError("<script>alert(1)</script>")
    return code


async def get(session: ClientSession, url: str) -> tuple[int, str]:
    """Visit a page; it must not be kept anywhere, nor send its address on."""
    async with session.get(url) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        return response.status, await response.text()


async def test_the_right_visit_ends_the_wait(session: ClientSession) -> None:
    """The code comes to the waiter; the page shows neither code nor state."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        assert urlsplit(redirect.redirect_uri).hostname == "127.0.0.1"
        status, page = await get(session, f"{redirect.redirect_uri}?state=ours&code=c0de")
        assert status == 200
        assert "c0de" not in page
        assert "ours" not in page
        assert await redirect.wait() == "c0de"


async def test_a_hostile_visit_does_not_end_the_wait(session: ClientSession) -> None:
    """Any page can send the browser here: without the right state it changes nothing."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        uri = redirect.redirect_uri
        for query in ("", "?code=evil", "?state=theirs&code=evil", "?state=ours&state=ours&code=evil", "?error=x"):
            status, page = await get(session, uri + query)
            assert status == 400
            assert "evil" not in page
        assert (await get(session, f"{uri}?state=ours&code=good"))[0] == 200
        assert await redirect.wait() == "good"


async def test_only_the_first_right_visit_counts(session: ClientSession) -> None:
    """A second one, as by a reload, is told so."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        await get(session, f"{redirect.redirect_uri}?state=ours&code=first")
        assert (await get(session, f"{redirect.redirect_uri}?state=ours&code=second"))[0] == 400
        assert await redirect.wait() == "first"


async def test_other_paths_and_methods_are_not_found(session: ClientSession) -> None:
    """There is one page, and it is read only."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        origin = redirect.redirect_uri.removesuffix("/callback")
        for path in ("/", "/favicon.ico", "/callback/", "/callback/x"):
            assert (await get(session, f"{origin}{path}?state=ours&code=c"))[0] == 404
        async with session.post(f"{redirect.redirect_uri}?state=ours&code=c") as response:
            assert response.status == 404


async def test_a_failure_is_told_in_the_page_and_to_the_waiter(session: ClientSession) -> None:
    """What the judge raises is what the waiter gets, and HTML in it is escaped."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        status, page = await get(session, f"{redirect.redirect_uri}?state=ours&code=bad")
        assert status == 400
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        with pytest.raises(SignInError):
            await redirect.wait()


async def test_a_failure_that_nobody_waited_for_is_no_noise(session: ClientSession) -> None:
    """Leaving the context without waiting says nothing about a lost exception."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        await get(session, f"{redirect.redirect_uri}?state=ours&code=bad")


async def test_the_port_is_closed_at_the_end() -> None:
    """Outside the context nobody listens, also if nobody came and the wait was given up."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        waiter = asyncio.create_task(redirect.wait())
        await asyncio.sleep(0)
        waiter.cancel()
    port = urlsplit(redirect.redirect_uri).port
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_long_code_comes_through(session: ClientSession) -> None:
    """Some providers' codes are signed tokens of several thousand bytes."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        assert (await get(session, f"{redirect.redirect_uri}?state=ours&code={'c' * 20_000}"))[0] == 200
        assert await redirect.wait() == "c" * 20_000


async def test_a_malformed_request_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The bytes of a request can hold the code; no log has them."""
    caplog.set_level(logging.DEBUG)
    async with LoopbackRedirect(belongs, judge) as redirect:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(redirect.redirect_uri).port)
        writer.write(b"GET /callback?code=c0de HTTP/1.1\r\nHost: x\r\nBad\x00Field: c0de\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert "c0de" not in caplog.text


def has_ipv6() -> bool:
    """Whether this machine has the address ::1; many containers have not."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
async def test_the_same_port_is_open_on_ipv6(session: ClientSession) -> None:
    """A provider may send the browser to `localhost`, which can mean ::1."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        port = urlsplit(redirect.redirect_uri).port
        assert (await get(session, f"http://[::1]:{port}/callback?state=ours&code=c0de"))[0] == 200
        assert await redirect.wait() == "c0de"


async def test_what_comes_another_way_ends_the_wait_too(session: ClientSession) -> None:
    """Once; the browser that comes after it is told so."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        assert redirect.take({"state": ["ours"], "code": ["pasted"]}) is None
        assert redirect.take({"state": ["ours"], "code": ["again"]}) is None
        assert (await get(session, f"{redirect.redirect_uri}?state=ours&code=late"))[0] == 400
        assert await redirect.wait() == "pasted"


async def test_a_failure_is_told_with_what_helps(session: ClientSession) -> None:
    """And that the tab can be closed."""

    def refuse(_parameters: Mapping[str, list[str]]) -> str:
        raise SignInError("the sign-in was refused", hint="agree & try again")

    async with LoopbackRedirect(belongs, refuse) as redirect:
        _, page = await get(session, f"{redirect.redirect_uri}?state=ours&code=c")
        assert "<p>The sign-in was refused.</p><p>What helps: agree &amp; try again.</p>" in page
        assert "You can close this tab." in page


async def test_each_visit_has_a_connection_of_its_own() -> None:
    """None stays open that would have to be waited for at the end."""
    async with LoopbackRedirect(belongs, judge) as redirect:
        port = urlsplit(redirect.redirect_uri).port
        for path in ("/callback?state=ours&code=c", "/callback", "/"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            async with asyncio.timeout(5):
                answer = await reader.read()
            assert b"\r\nConnection: close\r\n" in answer
            writer.close()

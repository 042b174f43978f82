from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from jmap_proxy.errors import AnswerLost, ProviderError
from jmap_proxy.oauth.http import ANSWER_LIMIT, TIMEOUT, ProviderHttp, check_endpoint
from jmap_proxy.sandbox import Fault, IdentityProvider
from jmap_proxy.tls.contexts import client_context
from tests.support.certificates import private_authority
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "very-secret-token"


async def failure(session: ClientSession, url: str) -> ProviderError:
    """The error of a POST that carries a secret; no text of it shows the secret."""
    with pytest.raises(ProviderError) as caught:
        await ProviderHttp(session).post_form(url, {"refresh_token": SECRET}, {"Authorization": f"Basic {SECRET}"})
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
    return caught.value


async def test_a_get_asks_for_plain_json(session: ClientSession) -> None:
    """Status, header fields and bytes come as they are; no compression is asked for."""
    async with Scripted({"/a": (418, b"tea", {"X-Kind": "green"})}) as server:
        answer = await ProviderHttp(session).get(f"{server.origin}/a")
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (418, b"tea", "green")
    assert server.headers[0]["Accept"] == "application/json"
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert server.headers[0]["User-Agent"] == "jmap-proxy"


async def test_a_bearer_token_opens_what_it_is_for(session: ClientSession) -> None:
    """It is sent with this request and no other; a DELETE is an answer like another."""
    async with Scripted({"/a": (204, b"", {})}) as server:
        http = ProviderHttp(session)
        assert (await http.get(f"{server.origin}/a", bearer=SECRET)).status == 204
        assert (await http.delete(f"{server.origin}/a", bearer=SECRET)).status == 204
        await http.get(f"{server.origin}/a")
    assert [headers.get("Authorization") for headers in server.headers] == [f"Bearer {SECRET}"] * 2 + [None]


async def test_a_document_is_sent_as_json(session: ClientSession) -> None:
    """With its type; it goes to no unsafe place."""
    async with Scripted({"/a": (201, b"{}", {})}) as server:
        assert (await ProviderHttp(session).post_json(f"{server.origin}/a", {"a": ["b"]})).status == 201
    assert server.headers[0]["Content-Type"] == "application/json"
    with pytest.raises(ProviderError, match="plain http"):
        await ProviderHttp(session).post_json("http://sso.example/register", {})


async def test_redirects_are_not_followed(session: ClientSession) -> None:
    """A redirect is an answer like another, for GET and for POST."""
    async with Scripted({"/a": (307, b"", {"Location": "/b"}), "/b": (200, b"", {})}) as server:
        http = ProviderHttp(session)
        assert (await http.get(f"{server.origin}/a")).status == 307
        assert (await http.post_form(f"{server.origin}/a", {"x": SECRET}, {})).status == 307
        assert server.paths == ["/a", "/a"]


async def test_each_request_has_a_connection_of_its_own(session: ClientSession) -> None:
    """A provider that closes an idle connection at the wrong moment takes no answer with it."""
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read(1)  # the next request, or the end
        writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
        for _ in range(3):
            answer = await ProviderHttp(session).post_form(url, {}, {})
            assert (answer.status, answer.body) == (200, b"{}")
    assert connections == 3


async def test_cookies_are_not_kept(session: ClientSession) -> None:
    """What a provider sets is not sent back."""
    async with Scripted({"/a": (200, b"", {"Set-Cookie": "track=me; Path=/"})}) as server:
        http = ProviderHttp(session)
        await http.get(f"{server.origin}/a")
        await http.get(f"{server.origin}/a")
        assert not any("Cookie" in headers for headers in server.headers)


async def test_an_endless_answer_is_refused(session: ClientSession) -> None:
    """More than a megabyte is not read; a megabyte is."""
    async with Scripted() as server:
        server.answers = {"/ok": (200, b"x" * ANSWER_LIMIT, {}), "/big": (200, b"x" * (ANSWER_LIMIT + 1), {})}
        assert len((await ProviderHttp(session).get(f"{server.origin}/ok")).body) == ANSWER_LIMIT
        assert "more than" in str(await failure(session, f"{server.origin}/big"))


async def test_a_dropped_connection_is_a_provider_error(session: ClientSession, idp: IdentityProvider) -> None:
    """No answer at all, with the request handled or not."""
    for fault in (Fault(drop=True), Fault(drop_early=True)):
        idp.faults.add("token", fault)
        error = await failure(session, f"{idp.issuer}/token?leak={SECRET}")
        assert error.retry_after == 1


async def test_a_port_where_nobody_listens_is_a_provider_error(session: ClientSession) -> None:
    """The error names where the request went, and says what is there."""
    async with Scripted() as server:
        origin = server.origin
    assert str(await failure(session, f"{origin}/token")) == f"{origin}/token: nothing answers there"


async def test_a_timeout_is_a_provider_error(session: ClientSession, idp: IdentityProvider) -> None:
    """A provider that never answers is given up on."""
    hold = asyncio.Event()
    idp.faults.add("jwks", Fault(hold=hold))
    with pytest.raises(ProviderError, match="Timeout"):
        await ProviderHttp(session, ClientTimeout(total=0.05)).get(f"{idp.issuer}/jwks")
    hold.set()


class HangingResolver(AbstractResolver):
    """A name service that never answers."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError((host, port, family))

    async def close(self) -> None:
        """Nothing is open."""


class NoNames(AbstractResolver):
    """A name service that knows no name."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Raise what the system's does."""
        raise OSError(host, port, family)

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_name_that_is_not_known_is_told() -> None:
    """In words; nothing was sent."""
    async with ClientSession(connector=TCPConnector(resolver=NoNames())) as session:
        error = await failure(session, "https://sso.example/token")
    assert str(error) == "https://sso.example/token: the name is not known (DNS)"
    assert not isinstance(error, AnswerLost)


async def test_a_name_that_is_never_resolved_has_lost_no_answer() -> None:
    """Nothing was sent, so that nothing can be spent: it is asked again as after any passing failure."""
    async with ClientSession(connector=TCPConnector(resolver=HangingResolver())) as session:
        http = ProviderHttp(session, ClientTimeout(total=5, connect=0.05))
        with pytest.raises(ProviderError, match="ConnectionTimeoutError") as caught:
            await http.post_form("https://sso.example/token", {"refresh_token": SECRET}, {})
    assert not isinstance(caught.value, AnswerLost)


def test_a_connection_is_given_up_before_the_answer() -> None:
    """Else nobody knows which of the two did not come."""
    assert TIMEOUT.total is not None
    assert TIMEOUT.connect is not None
    assert TIMEOUT.connect + 1 < TIMEOUT.total  # aiohttp rounds long times up to a second


async def test_an_answer_that_came_while_the_process_stood_still_counts(session: ClientSession) -> None:
    """The time for it is over when the process goes on, but it is there: it may hold a rotated refresh token."""
    loop, asked, answered, going_on = asyncio.get_running_loop(), *(threading.Event() for _ in range(3))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer_one, args=(listening, asked, answered, going_on))
        server.start()
        request = asyncio.create_task(
            ProviderHttp(session).post_form(f"http://127.0.0.1:{listening.getsockname()[1]}/t", {"a": "b"}, {})
        )
        await asyncio.to_thread(asked.wait)
        answered.wait()  # the event loop stands still
        loop.call_soon(going_on.set)
        now, jump = loop.time, 2 * (TIMEOUT.total or 0)
        with mock.patch.object(loop, "time", side_effect=lambda: now() + jump):  # all its timers are over
            assert (await request).body == b"{}"
        server.join()


def answer_one(
    listening: socket.socket, asked: threading.Event, answered: threading.Event, going_on: threading.Event
) -> None:
    """Answer one request while the client stands still; it takes the answer in two pieces when it goes on."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        asked.set()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        answered.set()
        going_on.wait()
        connection.sendall(b"{}")


@pytest.mark.parametrize(
    "url",
    [
        "http://sso.example/token",
        "http://127.0.0.1.evil.example/token",
        "http://localhost.evil.example/",
        "ftp://127.0.0.1/",
        "https://user:pw@sso.example/",
        "/token",
        "",
        f"https://{'a' * 70}.example/",
        "https://a..example/",
        "https://sso.example/\x1b[2J",
        "https://sso.example/a b",
        "https://sso.example/\r\nHost: evil.example",
        "https://sso.example/#fragment",
        "https://sso.example/" + "a" * 9000,
    ],
)
async def test_no_secret_goes_to_an_unsafe_place(session: ClientSession, url: str) -> None:
    """Plain http leaves this machine only with no secret in it, so not at all; what is no URL fails in the same way."""
    await failure(session, url)


@pytest.mark.parametrize(
    "url", ["https://sso.example/t", "http://127.0.0.1:1/t", "http://[::1]:1/t", "http://localhost/"]
)
def test_tls_and_loopback_are_safe(url: str) -> None:
    """Verified TLS, or a way that does not leave the machine."""
    check_endpoint(url)


async def test_a_private_authority_counts_only_where_it_is_named(tmp_path: Path) -> None:
    """With ca_file the provider is trusted, without it the hint names ca_file."""
    ca_file, context = private_authority(tmp_path)
    async with IdentityProvider(ssl_context=context) as idp:
        url = f"{idp.issuer}/jwks"
        async with ClientSession(connector=TCPConnector(ssl=client_context(str(ca_file)))) as session:
            assert (await ProviderHttp(session).get(url)).status == 200
        async with ClientSession(connector=TCPConnector(ssl=client_context())) as session:
            error = await failure(session, url)
    assert "the certificate (TLS) is not good: " in str(error)
    assert "ca_file" in error.hint


async def test_what_speaks_no_tls_is_told_as_such(session: ClientSession, idp: IdentityProvider) -> None:
    """No authority would help."""
    error = await failure(session, f"{idp.issuer.replace('http:', 'https:')}/jwks")
    assert "nothing speaks TLS there" in str(error)
    assert "ca_file" not in error.hint

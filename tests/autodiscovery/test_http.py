from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.autodiscovery.http import ANSWER_LIMIT, ServerHttp
from jmap_proxy.errors import ServerUnreachable
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.tls.contexts import client_context
from tests.support.certificates import private_authority
from tests.support.ports import free_port
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def talking(answer: bytes | None) -> AsyncIterator[str]:
    """A server that says this and closes, or says nothing and waits; its origin."""
    over = asyncio.Event()

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        over.set()


async def test_an_answer_is_given_as_it_is(session: aiohttp.ClientSession, server: Scripted) -> None:
    """Whatever its status; a redirect is not followed, and nobody's credentials are sent."""
    server.answers["/a"] = 302, b"body", {"Location": "/b", "WWW-Authenticate": "Bearer"}
    page = await ServerHttp(session).get(f"{server.origin}/a")
    assert (page.status, page.body, page.headers["location"]) == (302, b"body", "/b")
    assert page.url == f"{server.origin}/a"
    assert server.paths == ["/a"]
    assert not {"Authorization", "Cookie"} & set(server.headers[0])


async def test_a_long_answer_is_cut(session: aiohttp.ClientSession, server: Scripted) -> None:
    """Nobody knows the server yet, so it cannot fill the memory."""
    server.answers["/a"] = 200, b"x" * (ANSWER_LIMIT + 1), {}
    assert len((await ServerHttp(session).get(f"{server.origin}/a")).body) == ANSWER_LIMIT


async def told_of(session: aiohttp.ClientSession, url: str, **timeout: float) -> ServerUnreachable:
    """The error of a URL."""
    limits = aiohttp.ClientTimeout(**timeout) if timeout else aiohttp.ClientTimeout(total=20)
    with pytest.raises(ServerUnreachable) as caught:
        await ServerHttp(session, limits).get(url)
    assert caught.value.hint
    return caught.value


async def test_a_name_that_is_not_known(session: aiohttp.ClientSession) -> None:
    """RFC 6761 §6.4: `.invalid` never is."""
    error = await told_of(session, "https://mail.invalid/x")
    assert error.detail == "the name mail.invalid is not known (DNS)"
    assert "spelling" in error.hint


async def test_nobody_listens(session: aiohttp.ClientSession) -> None:
    """The origin is named."""
    origin = f"http://127.0.0.1:{free_port()}"
    assert (await told_of(session, f"{origin}/x")).detail == f"nothing answers at {origin}"


async def test_no_answer_in_time(session: aiohttp.ClientSession) -> None:
    """A server that takes the request and is silent."""
    async with talking(None) as origin:
        assert (await told_of(session, f"{origin}/x", total=0.2)).detail == f"{origin} does not answer in time"


@pytest.mark.parametrize(
    "answer", [b"", b"220 smtp.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_no_web_server(session: aiohttp.ClientSession, answer: bytes) -> None:
    """Another protocol, nothing, or an answer that breaks off."""
    async with talking(answer) as origin:
        assert "as a web server should" in (await told_of(session, f"{origin}/x")).detail


async def test_plain_http_where_tls_is_expected(session: aiohttp.ClientSession, server: Scripted) -> None:
    """A wrong port, mostly."""
    error = await told_of(session, server.origin.replace("http:", "https:") + "/x")
    assert "does not speak TLS" in error.detail


async def test_a_certificate_of_an_unknown_authority(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The way for a private authority is named; with it the server is reached."""
    ca_file, context = private_authority(tmp_path)
    async with Scripted(ssl_context=context) as server:
        error = await told_of(session, f"{server.origin}/x")
        assert error.detail.startswith(f"the certificate of {server.origin} is not good: ")
        assert "ca_file" in error.hint
        async with upstream_session(client_context(str(ca_file))) as trusting:
            assert (await ServerHttp(trusting).get(f"{server.origin}/x")).status == 404


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    """The leaf is for 127.0.0.1, so localhost is another name."""
    ca_file, context = private_authority(tmp_path)
    async with Scripted(ssl_context=context) as server, upstream_session(client_context(str(ca_file))) as session:
        error = await told_of(session, server.origin.replace("127.0.0.1", "localhost") + "/x")
        assert "is not good" in error.detail

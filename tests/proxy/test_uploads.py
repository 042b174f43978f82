"""Uploads through the whole proxy: they stream while they arrive, and can be sent again after a 401."""

import asyncio
import hashlib
import io
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jmap_proxy.sandbox import MailServer
from tests.proxy.support import AUTH, Proxy, Serve, Tokens, proxy_to, raw_server, scripted

HALF = os.urandom(300_000)
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Takes uploads of two halves; the first request is refused after `refuse_after` bytes, None for never."""

    def __init__(self, refuse_after: int | None = None) -> None:
        self.refuse_after = refuse_after
        self.bodies: list[bytes] = []
        self.first_bytes = asyncio.Event()
        self.refused = asyncio.Event()

    @property
    def serve(self) -> Serve:
        """As a raw server."""
        return scripted(self._serve)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Content-Length: 600000\r\n" in await reader.readuntil(b"\r\n\r\n")
        if self.refuse_after is not None and not self.refused.is_set():
            await reader.readexactly(self.refuse_after)
            self.refused.set()
            writer.write(REFUSED)
            await writer.drain()
            return
        start = await reader.readexactly(len(HALF))
        self.first_bytes.set()
        self.bodies.append(start + await reader.readexactly(len(HALF)))
        writer.write(CREATED)
        await writer.drain()


async def send_first_half(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin an upload of two halves."""
    path = "/" + (await proxy.url("uploadUrl")).split("/", 3)[3]
    length = f"Content-Length: {2 * len(HALF)}"
    return await proxy.raw(f"POST {path} HTTP/1.1", "Host: localhost", AUTH, length, "Connection: close", body=HALF)


async def test_an_upload_streams_while_it_arrives() -> None:
    """The server has the first bytes before the client has sent the last."""
    server = Server()
    async with raw_server(server.serve) as origin, proxy_to(f"{origin}/.well-known/jmap") as proxy:
        reader, writer = await send_first_half(proxy)
        await server.first_bytes.wait()
        writer.write(HALF)
        assert b" 201 " in await reader.read()
    assert server.bodies == [HALF + HALF]


@pytest.mark.parametrize("refuse_after", [0, 1, len(HALF)])
async def test_an_upload_that_is_refused_in_the_middle_arrives_whole(refuse_after: int) -> None:
    """Before the body is read, at its start and half-way: one retry, every byte once."""
    server, tokens = Server(refuse_after), Tokens("good", "better")
    async with raw_server(server.serve) as origin, proxy_to(f"{origin}/.well-known/jmap", tokens) as proxy:
        reader, writer = await send_first_half(proxy)
        await server.refused.wait()
        writer.write(HALF)
        assert b" 201 " in await reader.read()
    assert server.bodies == [HALF + HALF]
    assert tokens.calls.count("replace good") == 1


async def test_an_upload_beyond_what_is_kept_is_told_to_come_again() -> None:
    """503 with Retry-After and the key that sets the size; the token is fresh then."""
    server = Server(len(HALF))
    async with (
        raw_server(server.serve) as origin,
        proxy_to(f"{origin}/.well-known/jmap", Tokens("good", "better"), upload_replay=1000) as proxy,
    ):
        reader, writer = await send_first_half(proxy)
        await server.refused.wait()
        writer.write(HALF)
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1\r\n" in answer
    assert b"limits.upload_replay" in answer


@pytest.mark.parametrize("size", [0, 1, 900_000])
async def test_chunked_and_measured_uploads_arrive(mail: MailServer, proxy: Proxy, size: int) -> None:
    """Both framings, byte for byte, also when the first token is refused."""
    body = os.urandom(size)

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    url = await proxy.url("uploadUrl")
    mail.refused_tokens.add("good")
    for data in (io.BytesIO(body), chunks()):
        async with proxy.request("POST", url, data=data) as response:
            assert response.status == 201
    assert set(mail.uploads.values()) == {(size, hashlib.sha256(body).hexdigest())}


async def test_an_upload_that_waits_for_100_continue_is_asked_to_go_on(proxy: Proxy, mail: MailServer) -> None:
    """As curl does it above 1 MB; the server never sees the Expect."""
    path = "/" + (await proxy.url("uploadUrl")).split("/", 3)[3]
    fields = ("Host: localhost", AUTH, "Content-Length: 3", "Expect: 100-continue", "Connection: close")
    reader, writer = await proxy.raw(f"POST {path} HTTP/1.1", *fields)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
    assert "Expect" not in mail.requests[-1].headers


async def test_no_spool_is_left_behind(
    mail: MailServer, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file nor an open one, which would be a warning."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # environment: where temporary files are made
    async with proxy.request("POST", await proxy.url("uploadUrl"), data=HALF * 3) as response:
        assert response.status == 201
    assert next(iter(mail.uploads.values()))[0] == len(HALF) * 3
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a look at an empty folder


async def test_a_client_that_breaks_its_chunks_is_cut(proxy: Proxy, mail: MailServer) -> None:
    """At once, though the proxy is waiting for the rest already; the server sees nothing of the request."""
    path = "/" + (await proxy.url("apiUrl")).split("/", 3)[3]
    fields = ("Host: localhost", AUTH, "Transfer-Encoding: chunked", "Expect: 100-continue")
    reader, writer = await proxy.raw(f"POST {path} HTTP/1.1", *fields)
    await reader.readuntil(b"\r\n\r\n")  # 100: the proxy reads the body now
    writer.write(b"1\r\na\r\n")
    writer.write(b"zz\r\n")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert [request.method for request in mail.requests] == ["GET"]


class Unfinished:
    """Takes an upload that does not come to its end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @property
    def serve(self) -> Serve:
        """As a raw server."""
        return scripted(self._serve)

    async def _serve(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        start = await reader.readuntil(b"abc\r\n")
        self.begun.set()
        self.ended.set_result(start + await reader.read())


async def begin_chunked_upload(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send one chunk."""
    path = "/" + (await proxy.url("uploadUrl")).split("/", 3)[3]
    fields = ("Host: localhost", AUTH, "Transfer-Encoding: chunked")
    return await proxy.raw(f"POST {path} HTTP/1.1", *fields, body=b"3\r\nabc\r\n")


async def test_an_upload_with_broken_chunks_is_cut() -> None:
    """At once; the server's side ends without the last chunk, so that it cannot take the half for the whole."""
    server = Unfinished()
    async with raw_server(server.serve) as origin, proxy_to(f"{origin}/.well-known/jmap") as proxy:
        reader, writer = await begin_chunked_upload(proxy)
        async with asyncio.timeout(5):
            await server.begun.wait()
            writer.write(b"zz\r\n")
            assert await reader.read() == b""
            assert await server.ended == b"3\r\nabc\r\n"


async def test_an_upload_that_stops_is_told() -> None:
    """408 and the end of the connection, and the exchange with the server ends too."""
    server = Unfinished()
    async with (
        raw_server(server.serve) as origin,
        proxy_to(f"{origin}/.well-known/jmap", body_patience=0.05) as proxy,
    ):
        reader, _ = await begin_chunked_upload(proxy)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert await server.ended == b"3\r\nabc\r\n"
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head

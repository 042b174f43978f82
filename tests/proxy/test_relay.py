import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from structlog.testing import capture_logs

from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import AUTH, Proxy, answering, proxy_to, raw_server, scripted

OK = b"HTTP/1.1 200 OK\r\n"


async def start(proxy: Proxy, field: str, method: str = "GET", version: str = "1.1") -> asyncio.StreamReader:
    """Ask an endpoint byte by byte; the connection stays open until the reader's transport goes."""
    path = "/" + (await proxy.url(field)).split("/", 3)[3]
    reader, _ = await proxy.raw(f"{method} {path} HTTP/{version}", "Host: localhost", AUTH)
    return reader


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_pass_byte_for_byte(size: int, chunked: bool) -> None:
    """Small and large, with a length and chunked; content codings are left alone."""
    body = os.urandom(size)
    framed = b"Content-Length: %d\r\n\r\n" % size + body
    if chunked:
        framed = (
            b"Transfer-Encoding: chunked\r\n\r\n" + (b"%x\r\n%b\r\n" % (size, body) if size else b"") + b"0\r\n\r\n"
        )
    async with (
        raw_server(answering(OK + b"Content-Encoding: gzip\r\n" + framed)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request("GET", await proxy.url("downloadUrl")) as response,
    ):
        assert await response.read() == body
        assert response.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("method", "field", "status"),
    [("HEAD", "downloadUrl", 200), ("GET", "downloadUrl", 304), ("GET", "eventSourceUrl", 204)],
)
async def test_answers_without_a_body_leave_the_connection_open(method: str, field: str, status: int) -> None:
    """HEAD keeps the length; 204 and 304 have none; none of them closes."""
    length = b"Content-Length: 70000\r\n" if method == "HEAD" else b""
    async with (
        raw_server(answering(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, length))) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request(method, await proxy.url(field)) as response,
    ):
        assert (response.status, await response.read()) == (status, b"")
        assert response.headers.get("Content-Length") == ("70000" if method == "HEAD" else None)
        assert "Connection" not in response.headers


async def test_an_http_1_0_client_gets_the_end_of_the_connection() -> None:
    """No chunks, which it would not understand."""
    chunks = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with raw_server(answering(OK + chunks)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        reader = await start(proxy, "downloadUrl", version="1.0")
        answer = await reader.read()
        assert answer.endswith(b"\r\n\r\nabc")
        assert b"chunked" not in answer


@pytest.mark.parametrize(
    "broken",
    [
        b"Content-Length: 100000\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_broken_answer_never_ends_cleanly(broken: bytes, version: str) -> None:
    """Once it has begun, the client's connection is cut, whatever the framing."""
    async with raw_server(answering(OK + broken)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        reader = await start(proxy, "downloadUrl", version=version)
        with capture_logs() as logs, pytest.raises(ConnectionResetError):
            await reader.read()
        assert [line["event"] for line in logs] == ["server broke off"]


@pytest.mark.parametrize(
    ("head", "status", "location"),
    [
        (b"307 X\r\nLocation: /dl/A/B/other", 307, "/dl/A/B/other"),
        (b"302 X\r\nLocation: https://evil.com/", 502, None),
        (b"201 X\r\nLocation: https://evil.com/", 201, None),
        (b"201 X\r\nLocation: /dl/A/B/new", 201, "/dl/A/B/new"),
    ],
)
async def test_locations_are_local_or_none(head: bytes, status: int, location: str | None) -> None:
    """A redirect out of the endpoints is a 502; what was done is not undone by a pointer of no use."""
    async with (
        raw_server(answering(b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\n\r\n")) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request("POST", await proxy.url("uploadUrl"), data=b"x") as response,
    ):
        assert response.status == status
        seen = response.headers.get("Location")
        assert (seen is None) if location is None else seen.startswith(proxy.origin) and seen.endswith(location)


async def test_an_unasked_upgrade_is_refused() -> None:
    """101 never reaches the client."""
    upgrade = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with (
        raw_server(answering(upgrade)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request("GET", await proxy.url("downloadUrl")) as response,
    ):
        assert response.status == 502


async def test_a_client_that_leaves_ends_the_exchange() -> None:
    """In the middle of a download, and nothing is said against the server."""
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 1000000\r\n\r\nabc")
        await reader.read()
        left.set()

    with capture_logs() as logs:
        async with raw_server(scripted(serve)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
            reader = await start(proxy, "downloadUrl")
            await reader.readuntil(b"abc")
            proxy.leave()
            async with asyncio.timeout(5):
                await left.wait()
    assert logs == []


async def test_the_server_waits_for_a_slow_client() -> None:
    """What lies between the two is bounded: of 64 MB only a little is taken while the client does not read."""
    total, piece, sent, begun = 64 << 20, bytes(64 << 10), 0, asyncio.Event()
    writing: list[asyncio.WriteTransport] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writing.append(writer.transport)
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % total)
        begun.set()
        while sent < total:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()

    async with raw_server(scripted(serve)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        reader = await start(proxy, "downloadUrl")
        await begun.wait()
        await _until_still(lambda: (sent, writing[0].get_write_buffer_size()))
        assert writing[0].get_write_buffer_size() > writing[0].get_write_buffer_limits()[0]  # it is made to wait
        assert sent < total // 2  # the kernel's socket buffers make up most of it
        await reader.readuntil(b"\r\n\r\n")
        left = total
        while left:
            left -= len(await reader.read(1 << 20))
        assert sent == total
        proxy.leave()


async def _until_still(state: Callable[[], object]) -> None:
    """Wait until `state` stays the same over many turns of the event loop, on which client, proxy and server all run.

    Each turn serves every socket that is ready, so this does not hang on how fast the machine is.
    """
    latest, turns = state(), 0
    while turns < 2000:
        await asyncio.sleep(0)
        latest, turns = (now, 0) if (now := state()) != latest else (latest, turns + 1)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_small_answer_that_breaks_off_is_told(version: str) -> None:
    """Nothing has been sent to the client yet, so that it can get a clear 502."""
    broken = OK + b"Content-Length: 10\r\n\r\nabc"
    async with raw_server(answering(broken)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        reader = await start(proxy, "downloadUrl", version=version)
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.split()[1] == b"502"
    assert b"application/problem+json" in head


@pytest.mark.parametrize("size", [200_000, 3_000_000])
async def test_a_download_that_the_sandbox_cuts_is_cut(mail: MailServer, proxy: Proxy, size: int) -> None:
    """The client gets no more than what came, and no clean end."""
    mail.faults.add("download", Fault(cut_after=size // 2))
    async with proxy.request("GET", await proxy.url("downloadUrl", blobId=f"big-{size}")) as response:
        assert (response.status, response.content_length) == (200, size)
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            await response.read()
        assert response.content.total_bytes <= size // 2


async def test_64_mb_pass_in_both_directions(mail: MailServer, proxy: Proxy) -> None:
    """Equal byte for byte at the other end."""
    pattern = bytes(range(256)) * 1024

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(256):
            yield pattern

    async with proxy.request("POST", await proxy.url("uploadUrl"), data=chunks()) as response:
        assert response.status == 201
    (stored,) = mail.uploads.values()
    digest = hashlib.sha256()
    async with proxy.request("GET", await proxy.url("downloadUrl", blobId=f"big-{64 << 20}")) as response:
        async for chunk in response.content.iter_any():
            digest.update(chunk)
    assert stored == (64 << 20, digest.hexdigest())

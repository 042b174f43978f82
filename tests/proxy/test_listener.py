import asyncio
import contextlib
import logging

import pytest
from aiohttp import web

from jmap_proxy.proxy.listener import Listener
from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import AUTH, Proxy, proxy_to


async def test_a_clean_close_lets_an_upload_finish(mail: MailServer) -> None:
    """Its bytes are still taken in, the answer arrives and asks to close; then nobody is let in."""
    async with proxy_to(mail.session_url, patience=5) as proxy:
        path = "/" + (await proxy.url("uploadUrl")).split("/", 3)[3]
        entered = mail.faults.add("upload", Fault()).entered
        reader, writer = await proxy.raw(
            f"POST {path} HTTP/1.1", "Host: localhost", AUTH, "Content-Length: 6", body=b"abc"
        )
        await entered.wait()
        closing = asyncio.create_task(proxy.listener.close())
        await _until_refused(proxy)
        writer.write(b"def")
        answer = await reader.read()
        assert b" 201 " in answer.split(b"\r\n")[0]
        assert b"Connection: close" in answer
        await closing
        assert [size for size, _ in mail.uploads.values()] == [6]


async def _until_refused(proxy: Proxy) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.close()


async def test_patience_ends() -> None:
    """A request that does not finish in its time is cut."""
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    listener = Listener(answer, patience=0.05)
    origin = await listener.open("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await entered.wait()
    await listener.close()
    assert cancelled.is_set()
    assert await reader.read() == b""
    writer.close()


async def test_ipv6_is_shown_in_brackets() -> None:
    """The origin is one that can be typed."""
    listener = Listener(_nothing)
    try:
        assert (await listener.open("::1", 0)).startswith("http://[::1]:")
    except OSError:
        pytest.skip("this machine has no IPv6")
    finally:
        await listener.close()


async def _nothing(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


@pytest.mark.parametrize("request_bytes", [b"GET / SECRET\r\n\r\n", b"G\x00ET SECRET\r\n\r\n", b"SECRET\r\n\r\n"])
async def test_malformed_requests_are_repeated_nowhere(caplog: pytest.LogCaptureFixture, request_bytes: bytes) -> None:
    """The client gets problem details, the log a line; neither holds what was sent."""
    listener = Listener(_nothing)
    origin = await listener.open("127.0.0.1", 0)
    with caplog.at_level(logging.DEBUG):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
        writer.write(request_bytes)
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"application/problem+json" in answer
    assert b"SECRET" not in answer
    writer.close()
    await listener.close()
    assert caplog.records
    assert "SECRET" not in caplog.text


async def test_an_upgrade_that_is_declined_ends_the_connection() -> None:
    """A client that offers h2c gets its answer; what it sends behind that would be dropped, so it is told to close."""
    listener = Listener(_nothing)
    origin = await listener.open("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in answer
    writer.close()
    await listener.close()

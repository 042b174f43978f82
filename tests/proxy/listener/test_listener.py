import asyncio
import contextlib

import pytest
from aiohttp import web

from jmap_proxy.proxy.listener.listener import Listener
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

"""Uploads through the whole proxy: they stream while they arrive, and can be sent again after a 401."""

import asyncio
import contextlib
import hashlib
import io
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from jmap_proxy.errors import SignInNeeded
from jmap_proxy.proxy.forwarding import Bounds
from jmap_proxy.sandbox import Fault, MailServer
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


async def send_first_half(proxy: Proxy, *more: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin an upload of two halves."""
    path = "/" + (await proxy.url("uploadUrl")).split("/", 3)[3]
    length = f"Content-Length: {2 * len(HALF)}"
    return await proxy.raw(f"POST {path} HTTP/1.1", "Host: localhost", AUTH, length, *more, body=HALF)


async def test_an_upload_streams_while_it_arrives() -> None:
    """The server has the first bytes before the client has sent the last."""
    server = Server()
    async with raw_server(server.serve) as origin, proxy_to(f"{origin}/.well-known/jmap") as proxy:
        reader, writer = await send_first_half(proxy, "Connection: close")
        await server.first_bytes.wait()
        writer.write(HALF)
        assert b" 201 " in await reader.read()
    assert server.bodies == [HALF + HALF]


@pytest.mark.parametrize("refuse_after", [0, 1, len(HALF)])
async def test_an_upload_that_is_refused_in_the_middle_arrives_whole(refuse_after: int) -> None:
    """Before the body is read, at its start and half-way: one retry, every byte once."""
    server, tokens = Server(refuse_after), Tokens("good", "better")
    async with raw_server(server.serve) as origin, proxy_to(f"{origin}/.well-known/jmap", tokens) as proxy:
        reader, writer = await send_first_half(proxy, "Connection: close")
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
        proxy_to(f"{origin}/.well-known/jmap", Tokens("good", "better"), bounds=Bounds(upload_replay=1000)) as proxy,
    ):
        reader, writer = await send_first_half(proxy, "Connection: close")
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


async def ask_with_expect(proxy: Proxy, url: str) -> bytes:
    """All that a client gets that waits to be asked for its body, and is not."""
    fields = ("Host: localhost", AUTH, "Content-Length: 900", "Expect: 100-continue")
    reader, _ = await proxy.raw(f"POST /{url.split('/', 3)[3]} HTTP/1.1", *fields)
    async with asyncio.timeout(5):
        return await reader.read()


@pytest.mark.parametrize("field", ["uploadUrl", "apiUrl"])
async def test_nobody_is_asked_for_a_body_without_a_token(proxy: Proxy, field: str) -> None:
    """The error comes at once, without a 100 before it, and ends the connection: a body may follow on it or not."""
    url = await proxy.url(field)
    proxy.tokens.error = SignInNeeded("alice", "gone")
    answer = await ask_with_expect(proxy, url)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"sign-in-needed" in answer


async def test_nobody_is_asked_for_an_upload_without_a_connection() -> None:
    """As above."""
    async with AsyncExitStack() as up:
        origin = await up.enter_async_context(raw_server(Server().serve))
        async with proxy_to(f"{origin}/.well-known/jmap") as proxy:
            url = await proxy.url("uploadUrl")
            await up.aclose()
            answer = await ask_with_expect(proxy, url)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"upstream-unreachable" in answer


@pytest.mark.skipif(sys.platform != "linux", reason="looks for open files in /proc")
async def test_no_spool_is_left_behind(mail: MailServer, tmp_path: Path) -> None:
    """It is in the folder that was named for it, without a name while it is there, and gone afterwards."""
    fault = mail.faults.add("upload", Fault(take=len(HALF) * 6, hold=asyncio.Event()))
    async with proxy_to(mail.session_url, bounds=Bounds(spool_folder=str(tmp_path))) as proxy:
        url = await proxy.url("uploadUrl")
        async with asyncio.TaskGroup() as tasks:
            upload = tasks.create_task(_status(proxy, url, HALF * 7))
            await fault.took.wait()
            assert [name for name in _open_files() if name.startswith(str(tmp_path))]
            assert os.listdir(tmp_path) == []  # noqa: PTH208 - a look at an empty folder
            assert fault.hold is not None
            fault.hold.set()
        assert upload.result() == 201
    assert not [name for name in _open_files() if name.startswith(str(tmp_path))]
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a look at an empty folder


async def _status(proxy: Proxy, url: str, data: bytes) -> int:
    async with proxy.request("POST", url, data=io.BytesIO(data)) as response:
        return int(response.status)


def _open_files() -> list[str]:
    """What the descriptors of this process are, by the kernel's names."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is needed
        with contextlib.suppress(OSError):  # it was the listing's own
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - as above
    return found


class Hasty:
    """Answers an upload when it has `after` bytes of it, reads no more, and sees when the proxy leaves."""

    def __init__(self, answer: bytes, after: int) -> None:
        self.answer = answer
        self.after = after
        self.connections = 0
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a raw server."""
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(self.after)
        writer.write(self.answer)
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.left.set()


@pytest.mark.parametrize("status", [b"413 No", b"403 No", b"500 No", b"201 Created"])
@pytest.mark.parametrize(("after", "size"), [(0, 2), (100, 2), (100, 100_000)])
async def test_an_answer_that_comes_early_is_passed_on_at_once(status: bytes, after: int, size: int) -> None:
    """No more of the body is sent, the connection to the server is not used again, and the client's ends."""
    server = Hasty(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % size + bytes(size), after)
    async with raw_server(scripted(server.serve)) as origin, proxy_to(f"{origin}/.well-known/jmap") as proxy:
        for number in (1, 2):
            server.left.clear()
            reader, _ = await send_first_half(proxy)
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(size) == bytes(size)
                await server.left.wait()
            assert head.startswith(b"HTTP/1.1 " + status[:3])
            assert b"\r\nConnection: close\r\n" in head
            assert server.connections == number


async def test_a_client_that_breaks_its_chunks_is_told(proxy: Proxy, mail: MailServer) -> None:
    """At once, though the proxy is waiting for the rest already; the server sees nothing of the request."""
    path = "/" + (await proxy.url("apiUrl")).split("/", 3)[3]
    fields = ("Host: localhost", AUTH, "Transfer-Encoding: chunked", "Expect: 100-continue")
    reader, writer = await proxy.raw(f"POST {path} HTTP/1.1", *fields)
    await reader.readuntil(b"\r\n\r\n")  # 100: the proxy reads the body now
    writer.write(b"1\r\na\r\n")
    writer.write(b"zz\r\n")
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
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


async def test_an_upload_with_broken_chunks_is_refused() -> None:
    """At once; the server's side ends without the last chunk, so that it cannot take the half for the whole."""
    server = Unfinished()
    async with raw_server(server.serve) as origin, proxy_to(f"{origin}/.well-known/jmap") as proxy:
        reader, writer = await begin_chunked_upload(proxy)
        async with asyncio.timeout(5):
            await server.begun.wait()
            writer.write(b"zz\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            assert await server.ended == b"3\r\nabc\r\n"


async def test_an_upload_that_stops_is_told() -> None:
    """408 and the end of the connection, and the exchange with the server ends too."""
    server = Unfinished()
    async with (
        raw_server(server.serve) as origin,
        proxy_to(f"{origin}/.well-known/jmap", bounds=Bounds(body_idle=0.05)) as proxy,
    ):
        reader, _ = await begin_chunked_upload(proxy)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert await server.ended == b"3\r\nabc\r\n"
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head

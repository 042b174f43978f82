import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector, web

from jmap_proxy.errors import PeerRefused
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.door.peer import peer_uid
from jmap_proxy.proxy.listener.listener import Listener

US = os.geteuid()


def no_key(_key: str) -> str | None:
    """Every key is wrong."""
    return None


@asynccontextmanager
async def listening(path: Path, door: Door) -> AsyncIterator[None]:
    """A listener on a Unix socket that tells who came in by this door, or 403."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            visitor = door.enter(request)
        except PeerRefused:
            return web.Response(status=403)
        return web.Response(text=f"{visitor.account} at {visitor.local}")

    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    listener = Listener(answer)
    await listener.open_socket(bound)
    try:
        yield
    finally:
        await listener.close()


async def ask(path: Path) -> tuple[int, str]:
    """Ask as a program of our own user, without a key."""
    async with (
        ClientSession(connector=UnixConnector(str(path))) as client,
        client.get("http://localhost/") as response,
    ):
        return response.status, await response.text()


async def test_our_own_programs_come_in(tmp_path: Path) -> None:
    """The kernel says whose they are; the URLs for them have no port."""
    async with listening(tmp_path / "s", Door(no_key, "alice", peers=frozenset({US}))):
        assert await ask(tmp_path / "s") == (200, "alice at http://localhost")


async def test_programs_of_others_stay_out(tmp_path: Path) -> None:
    """Even where they need no key."""
    async with listening(tmp_path / "s", Door(no_key, "alice", peers=frozenset({US + 1}))):
        assert (await ask(tmp_path / "s"))[0] == 403


async def test_nothing_is_known_of_others_than_unix_peers() -> None:
    """A TCP connection has no user, nor has a request that has lost its connection: nobody is let in for that."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert peer_uid(writer.transport) is None
    assert peer_uid(None) is None
    await reader.read()
    writer.close()
    await writer.wait_closed()
    server.close()


async def test_a_closed_connection_tells_nothing() -> None:
    """It raises no foreign error."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with theirs:
        _, writer = await asyncio.open_unix_connection(sock=ours)
        assert peer_uid(writer.transport) == US
        writer.close()
        await writer.wait_closed()
        assert peer_uid(writer.transport) is None


OTHERS_PROGRAM = """
import os, socket, sys
os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(b"\\0" + os.fsencode(sys.argv[1]))
client.recv(1)
"""


@pytest.mark.skipif(US != 0, reason="only root can become somebody else")
async def test_another_users_program_is_told() -> None:
    """As the kernel sees it, not as the program says."""
    name = f"jmap-proxy-test-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        server.setblocking(False)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHERS_PROGRAM, name)
        connection, _ = await asyncio.get_running_loop().sock_accept(server)
        _, writer = await asyncio.open_unix_connection(sock=connection)
        assert peer_uid(writer.transport) == 65534
        writer.close()
        await writer.wait_closed()
        await process.wait()

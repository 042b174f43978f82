from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jmap_proxy.cli.liveness import answers
from jmap_proxy.cli.running import Addresses
from tests.proxy.support import raw_server
from tests.support.ports import free_port

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path


async def test_the_admin_listener_is_asked() -> None:
    """As a client asks it; any answer is one."""
    heads: list[bytes] = []

    async def healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

    async with raw_server(healthy) as admin:
        assert await answers(Addresses("http://127.0.0.1:9", "", admin), 5.0)
    assert heads[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n"])
async def test_who_closes_or_says_something_else_does_not_answer(answer: bytes) -> None:
    """A connection alone is no sign of life."""

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    with capture_logs() as logs:
        async with raw_server(odd) as admin:
            assert not await answers(Addresses("", "", admin), 5.0)
    assert [line["error"] for line in logs] == ["ConnectionError"]


async def test_who_is_silent_does_not_answer() -> None:
    """It takes the connection and nothing more; the log says so."""
    with socket.create_server(("127.0.0.1", 0)) as silent, capture_logs() as logs:
        admin = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not await answers(Addresses("", "", admin), 0.02)
    assert [(line["event"], line["log_level"], line["error"]) for line in logs] == [
        ("the proxy does not answer itself", "error", "TimeoutError")
    ]


async def test_without_admin_a_connection_is_all_that_can_be_had(tmp_path: Path) -> None:
    """At the first of the other listeners; there no question is without a key."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as unix:
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        for addresses in (
            Addresses(here, "", ""),
            Addresses("", here, ""),
            Addresses("", "", "", own={"alice": here}),
            Addresses("http://127.0.0.1:9", "", "", unix=str(tmp_path / "s")),
        ):
            assert await answers(addresses, 5.0)
    nobody = f"http://127.0.0.1:{free_port()}"
    assert not await answers(Addresses(nobody, "", ""), 5.0)
    assert not await answers(Addresses(nobody, "", nobody), 5.0)

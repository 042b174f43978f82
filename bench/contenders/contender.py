"""What the scenarios know of a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from bench.upstream import PATHS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from bench.processes import Pinned
    from bench.upstream import Upstream

FIRST_ANSWER = 30.0
"""Seconds in which a proxy has to come up."""

POLL = 0.005
"""Seconds from one try for the first answer to the next."""

CALL = b'{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"hello":"world"},"0"]]}'


@dataclass(frozen=True, slots=True)
class Setting:
    """What a proxy is started with.

    Attributes:
        core: Where it runs.
        folder: For its files.
        upstream: The server.
        scheme: By which it asks the server.
        token: To be injected.
    """

    core: int
    folder: Path
    upstream: Upstream
    scheme: str
    token: str = field(repr=False)

    @property
    def server(self) -> str:
        """The server's origin."""
        return self.upstream.origin(self.scheme)

    @property
    def authority(self) -> str:
        """The server's host and port."""
        return urlsplit(self.server).netloc


@dataclass(slots=True)
class Running:
    """A proxy that runs.

    Attributes:
        name: Of the proxy.
        process: It.
        origin: Where it listens.
        key: What a client shows.
        prefix: Stands before the server's paths in the proxy's.
        first_answer: Seconds from its start to its first good answer to an API request.
    """

    name: str
    process: Pinned
    origin: str
    key: str = field(repr=False)
    prefix: str = ""
    first_answer: float = 0.0

    def url(self, what: str) -> str:
        """Where something of `PATHS` is."""
        return self.origin + ("" if what == "session" else self.prefix) + PATHS[what]


class Contender(Protocol):
    """A proxy that can be started.

    Attributes:
        name: Of the proxy.
    """

    name: str

    def start(self, setting: Setting, key: str) -> AbstractAsyncContextManager[Running]:
        """The proxy, as long as the context is open; it may not listen yet."""


@asynccontextmanager
async def started(contender: Contender, setting: Setting, key: str) -> AsyncIterator[Running]:
    """The proxy, once it has given its first good answer."""
    await asyncio.to_thread(setting.folder.mkdir, parents=True)
    since = time.perf_counter()
    async with contender.start(setting, key) as running:
        await _first_answer(running)
        running.first_answer = time.perf_counter() - since
        yield running


async def _first_answer(running: Running) -> None:
    try:
        async with asyncio.timeout(FIRST_ANSWER):
            while not await _answers(running):
                running.process.check()
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise RuntimeError(f"{running.name} does not answer: {running.process.said[-2000:]}") from None


async def _answers(running: Running) -> bool:
    url = urlsplit(running.url("api"))
    head = [
        f"POST {url.path} HTTP/1.1", f"Host: {url.netloc}", f"Authorization: Bearer {running.key}",
        "Content-Type: application/json", f"Content-Length: {len(CALL)}", "Connection: close",
    ]  # fmt: skip
    writer = None
    try:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write("\r\n".join([*head, "", ""]).encode() + CALL)
        return (await reader.readline()).split()[1:2] == [b"200"]
    except OSError:
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

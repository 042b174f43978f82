"""Mail clients in great number: keep-alive connections that ask for all kinds of things, written by hand to be fast."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.chain import CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIX = ("events", "session", "session", "upload", "upload", "download", "download", *["api"] * 93)
"""Kinds of 100 requests."""

EXPECTED = {"events": 200, "session": 200, "upload": 201, "download": 200, "api": 200}
BLOB = 1000
"""Bytes of a download."""

_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


class Connection:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def head(self, request: bytes) -> tuple[int, bytes]:
        """Send a request: the answer's status and head."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head[9:12]), head

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request: the answer's status and body."""
        status, head = await self.head(request)
        length = _LENGTH.search(head)
        assert length is not None, head
        return status, await self._reader.readexactly(int(length[1]))

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        await self._writer.wait_closed()


@dataclass
class Load:
    """Clients of the proxy at `origin`, who show this local key.

    Attributes:
        answered: Called after each request with the number of requests so far.
        failures: What was not as expected, by kind and status or error.
    """

    origin: str
    key: str
    answered: Callable[[int], None]
    failures: Counter[str] = field(default_factory=Counter)
    done: int = 0
    _requests: dict[str, bytes] = field(default_factory=dict)

    async def learn(self) -> None:
        """Read the Session, which names what can be asked for."""
        connection = await self._connect()
        session_request = self._written("GET", f"{self.origin}/.well-known/jmap")
        _, body = await connection.ask(session_request)
        await connection.close()
        session = json.loads(body)
        upload, download, events = (_filled(session[f"{name}Url"]) for name in ("upload", "download", "eventSource"))
        self._requests = {
            "session": session_request,
            "api": self._written("POST", session["apiUrl"], json.dumps(CALL).encode(), "application/json"),
            "upload": self._written("POST", upload, b"a small file", "text/plain"),
            "download": self._written("GET", download),
            "events": self._written("GET", events),
        }

    async def run(self, clients: int, requests: int) -> None:
        """Ask so often in all, over so many connections at once."""
        last = self.done + requests
        await asyncio.gather(*(self._client(last - clients) for _ in range(clients)))

    async def _client(self, last: int) -> None:
        connection = await self._connect()
        while self.done <= last:
            kind = MIX[self.done % len(MIX)]
            self.done += 1
            try:
                status = await (self._open_events() if kind == "events" else self._ask(connection, kind))
                if status != EXPECTED[kind]:
                    self.failures[f"{kind} {status}"] += 1
            except (OSError, EOFError) as error:
                self.failures[f"{kind} {type(error).__name__}"] += 1
                connection = await self._connect()
            self.answered(self.done)
        await connection.close()

    async def _ask(self, connection: Connection, kind: str) -> int:
        status, body = await connection.ask(self._requests[kind])
        if kind == "download" and len(body) != BLOB:
            raise EOFError
        return status

    async def _open_events(self) -> int:
        """Begin an event stream, on a connection of its own, and leave."""
        connection = await self._connect()
        status, _ = await connection.head(self._requests["events"])
        await connection.close()
        return status

    async def _connect(self) -> Connection:
        where = urlsplit(self.origin)
        return Connection(*await asyncio.open_connection(where.hostname, where.port))

    def _written(self, method: str, url: str, body: bytes = b"", kind: str = "") -> bytes:
        where = urlsplit(url)
        fields: Mapping[str, object] = {
            "Host": where.netloc,
            "Authorization": f"Bearer {self.key}",
            "Accept": "*/*",
            **({"Content-Type": kind, "Content-Length": len(body)} if kind else {}),
        }
        target = f"{where.path}?{where.query}" if where.query else where.path
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return "\r\n".join(lines).encode() + body


def _filled(template: str) -> str:
    """A URL template of the Session with values for all variables."""
    values = {"accountId": "u-demo", "blobId": f"big-{BLOB}", "name": "x", "type": "text%2Fplain"}
    values |= {"types": "*", "closeafter": "no", "ping": "0"}
    return template.format(**values)

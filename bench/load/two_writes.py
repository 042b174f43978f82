"""Calls whose head and body are written one after the other, as Python's http.client does it. Blocks.

It is slower than what it asks, so that it is good only for what the kernel counts of the proxy.
"""

from __future__ import annotations

import contextlib
import socket
import time
from urllib.parse import urlsplit

PATIENCE = 10.0
PIECE = 1 << 16


def call_in_two_writes(url: str, key: str, body: bytes, connections: int, seconds: float) -> int:
    """Ask on so many connections in turns; the calls that were answered. Raises RuntimeError if one was not."""
    where, count, until = urlsplit(url), 0, time.perf_counter() + seconds
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        address = where.hostname or "", where.port or 80
        clients = [stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(connections)]
        for client in clients:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < until:
            for part in (head, body):
                for client in clients:
                    client.sendall(part)
            for client in clients:
                _read_answer(client)
            count += len(clients)
    return count


def _read_answer(client: socket.socket) -> None:
    data = client.recv(PIECE)
    while b"\r\n\r\n" not in data:
        data += _more(client)
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.lower().split(b"\r\n")
    if first.split()[1:2] != [b"200"]:
        raise RuntimeError(f"the answer is {head[:200]!r}")
    fields = dict(line.split(b": ", 1) for line in lines)
    left = int(fields[b"content-length"]) - len(rest)
    while left > 0:
        left -= len(_more(client))


def _more(client: socket.socket) -> bytes:
    data = client.recv(PIECE)
    if not data:
        raise RuntimeError("the connection has ended")
    return data

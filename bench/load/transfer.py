"""One large body down or up, by a plain socket: the client must not be what is measured. Blocks."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

PATIENCE = 60.0
PIECE = 1 << 20
LOW = 256 << 10
"""Bytes that wake the client. It shares its core with the server: woken for each little piece it would be the limit."""

HEAD_END = b"\r\n\r\n"


def download(url: str, key: str, size: int) -> float:
    """Seconds in which a body of `size` bytes comes. Raises RuntimeError if it does not."""
    where, since = urlsplit(url), time.perf_counter()
    with _connection(where) as connection:
        connection.sendall(_head("GET", where, key, 0))
        head, rest = _answer_head(connection)
        _check(head, b"200")
        got, buffer = len(rest), bytearray(PIECE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LOW)
        while got < size - LOW and (count := connection.recv_into(buffer)):
            got += count
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        while got < size and (count := connection.recv_into(buffer)):
            got += count
    if got != size:
        raise RuntimeError(f"{got} of {size} bytes have come")
    return time.perf_counter() - since


def upload(url: str, key: str, size: int) -> float:
    """Seconds until a body of `size` bytes is acknowledged. Raises RuntimeError if it is not."""
    where, piece, since = urlsplit(url), bytes(PIECE), time.perf_counter()
    with _connection(where) as connection:
        connection.sendall(_head("POST", where, key, size))
        for _ in range(size // PIECE):
            connection.sendall(piece)
        head, _ = _answer_head(connection)
    _check(head, b"201")
    return time.perf_counter() - since


def _connection(where: SplitResult) -> socket.socket:
    return socket.create_connection((where.hostname or "", where.port or 80), timeout=PATIENCE)


def _head(method: str, where: SplitResult, key: str, size: int) -> bytes:
    lines = [
        f"{method} {where.path}?{where.query} HTTP/1.1", f"Host: {where.netloc}", f"Authorization: Bearer {key}",
        *([f"Content-Length: {size}", "Content-Type: application/octet-stream"] if size else []),
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def _answer_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The answer's head, and what has come of its body with it."""
    data = b""
    while HEAD_END not in data and (piece := connection.recv(PIECE)):
        data += piece
    head, _, rest = data.partition(HEAD_END)
    return head, rest


def _check(head: bytes, status: bytes) -> None:
    if head.split()[1:2] != [status]:
        raise RuntimeError(f"the answer is {head[:200]!r}")

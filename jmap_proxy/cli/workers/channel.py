"""A Unix stream socket between two processes, over which messages go, and open sockets with them (SCM_RIGHTS).

A frame is a head (the length of its body, and how many sockets it brings) and a body of JSON. A message with more
sockets than one frame can bring has frames without a body before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEAD = struct.Struct(">IB")

MOST = 200
"""Sockets of a frame; Linux takes 253 (SCM_MAX_FD of unix(7))."""

CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""macOS has no such flag."""

Message = TypeVar("Message")
Result = TypeVar("Result")


class Channel(Generic[Message]):
    """One end of it.

    Args:
        end: Connected to the other end; closed by `close`.
        form: What comes from the other end.
    """

    def __init__(self, end: socket.socket, form: type[Message]) -> None:
        end.setblocking(False)
        self._end = end
        self._decoder = msgspec.json.Decoder(form)
        self._sending = asyncio.Lock()

    async def send(self, message: msgspec.Struct, sockets: Sequence[socket.socket] = ()) -> None:
        """Send a message; the sockets stay open here.

        Raises:
            OSError: the other end has gone.
        """
        body, left = msgspec.json.encode(message), list(sockets)
        async with self._sending:
            try:
                while len(left) > MOST:
                    await self._send_head(0, left[:MOST])
                    left = left[MOST:]
                await self._send_head(len(body), left, body)
            except BaseException:  # a part of it may have gone, and nothing can follow that
                with contextlib.suppress(OSError):
                    self._end.shutdown(socket.SHUT_WR)
                raise

    async def receive(self) -> tuple[Message, list[socket.socket]]:
        """The next message, and the sockets that came with it; they are the caller's.

        Raises:
            EOFError: the other end has gone.
        """
        with contextlib.ExitStack() as undo:
            sockets: list[socket.socket] = []
            length = 0
            while not length:
                head, came = await self._receive_head()
                sockets += map(undo.enter_context, came)
                length, count = HEAD.unpack(head)
                if count != len(came):  # those beyond the limit of open files are dropped (MSG_CTRUNC of recvmsg(2))
                    raise EOFError
            message = self._decoder.decode(await self._receive_body(length))
            undo.pop_all()
            return message, sockets

    async def close(self) -> None:
        """Close this end, after what is being sent; the other one learns of it."""
        async with self._sending:
            self._end.close()

    async def _send_head(self, length: int, sockets: Sequence[socket.socket], body: bytes = b"") -> None:
        head = HEAD.pack(length, len(sockets))
        if sockets:
            numbers = [each.fileno() for each in sockets]
            sent = await self._when_ready(lambda: socket.send_fds(self._end, [head], numbers), writing=True)
            head = head[sent:]
        await asyncio.get_running_loop().sock_sendall(self._end, head + body)

    async def _receive_head(self) -> tuple[bytes, list[socket.socket]]:
        try:
            head, numbers, _, _ = await self._when_ready(
                lambda: socket.recv_fds(self._end, HEAD.size, MOST, CLOSE_ON_EXEC)
            )
        except OSError as error:
            raise EOFError from error
        sockets = [socket.socket(fileno=number) for number in numbers]
        for each in sockets:
            each.set_inheritable(False)
        if not head:
            raise EOFError
        return head + await self._receive_body(HEAD.size - len(head)), sockets

    async def _receive_body(self, length: int) -> bytes:
        body = bytearray()
        while len(body) < length:
            try:
                piece = await asyncio.get_running_loop().sock_recv(self._end, length - len(body))
            except OSError as error:
                raise EOFError from error
            if not piece:
                raise EOFError
            body += piece
        return bytes(body)

    async def _when_ready(self, act: Callable[[], Result], *, writing: bool = False) -> Result:
        """What comes of it once it does not block."""
        loop = asyncio.get_running_loop()
        add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
        while True:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                return act()
            ready = asyncio.Event()
            add(self._end, ready.set)
            try:
                await ready.wait()
            finally:
                remove(self._end)

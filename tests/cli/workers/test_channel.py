from __future__ import annotations

import asyncio
import os
import resource
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from jmap_proxy.cli.workers.channel import HEAD, MOST, Channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Note(msgspec.Struct, frozen=True):
    """A message."""

    text: str


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[Channel[Note], Channel[Note]]]:
    """Both ends of a channel."""
    ours, theirs = socket.socketpair()
    channels = Channel(ours, Note), Channel(theirs, Note)
    try:
        yield channels
    finally:
        for each in channels:
            await each.close()


@asynccontextmanager
async def raw() -> AsyncIterator[tuple[socket.socket, Channel[Note]]]:
    """A socket, and a channel at the other end."""
    ours, theirs = socket.socketpair()
    channel = Channel(theirs, Note)
    with ours:
        yield ours, channel
    await channel.close()


def on_uvloop(test: Callable[[], Any]) -> Any:
    """What comes of it there."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(test())


async def exchange(text: str, number: int) -> None:
    """A message and so many sockets go over, and the same come out."""
    kept = [socket.socket() for _ in range(number)]
    async with ends() as (one, other):
        sending = asyncio.create_task(one.send(Note(text), kept))
        note, came = await other.receive()
        await sending
        await other.send(note)
        assert (await one.receive())[0] == Note(text)
    for ours, theirs in zip(kept, came, strict=True):
        assert os.fstat(ours.fileno()).st_ino == os.fstat(theirs.fileno()).st_ino
        assert not theirs.get_inheritable()
        ours.close()
        theirs.close()


@settings(max_examples=30)
@given(text=st.text(max_size=2000), number=st.integers(0, 5))
def test_what_goes_in_comes_out(text: str, number: int) -> None:
    """On both event loops."""
    asyncio.run(exchange(text, number))
    on_uvloop(lambda: exchange(text, number))


async def test_many_sockets() -> None:
    """More than one frame can bring."""
    await exchange("all of them", 2 * MOST + 1)


async def large_exchange() -> None:
    """Three messages of which the kernel does not even hold one, each with a socket."""
    with socket.socket() as kept:
        async with ends() as (one, other):
            sending = asyncio.gather(*(one.send(Note(str(each) * (1 << 20)), [kept]) for each in range(3)))
            for each in range(3):
                note, came = await other.receive()
                assert note.text == str(each) * (1 << 20)
                came[0].close()
            await sending


async def test_more_than_the_kernel_holds_at_once() -> None:
    """Goes over in pieces, with sockets behind it: the sender waits for the reader."""
    await large_exchange()


def test_more_than_the_kernel_holds_at_once_on_uvloop() -> None:
    """There, too."""
    on_uvloop(large_exchange)


async def test_a_reader_that_waits_is_woken() -> None:
    """By a message that comes later, and by the end."""
    async with ends() as (one, other):
        waiting = asyncio.create_task(other.receive())
        await asyncio.sleep(0)
        await one.send(Note("late"))
        assert (await waiting)[0] == Note("late")
        waiting = asyncio.create_task(other.receive())
        await asyncio.sleep(0)
        await one.close()
        with pytest.raises(EOFError):
            await waiting
        with pytest.raises(OSError, match="pipe"):
            await other.send(Note("to nobody"))


async def test_a_sender_that_is_cancelled() -> None:
    """Half of its message is an end for the reader, and nothing follows; waiting in vain for a turn does no harm."""
    async with ends() as (one, other):
        sending = asyncio.create_task(one.send(Note("x" * (1 << 20))))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(one.send(Note("in its turn")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        note, _ = await other.receive()
        await sending
        assert len(note.text) == 1 << 20
        sending = asyncio.create_task(one.send(Note("x" * (1 << 20))))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending])
        with pytest.raises(EOFError):
            await other.receive()
        with pytest.raises(OSError, match="pipe"):
            await one.send(Note("after it"))


@pytest.mark.parametrize("cut", range(1, HEAD.size + 3))
async def test_an_end_in_the_middle_of_a_message(cut: int) -> None:
    """Is an end; nothing half is taken for a message."""
    async with raw() as (end, channel):
        end.sendall((HEAD.pack(4, 0) + b"{}  ")[:cut])
        end.close()
        with pytest.raises(EOFError):
            await channel.receive()


async def test_sockets_that_were_sent_in_vain_are_closed() -> None:
    """With a message that is cut, and where more are announced than come."""
    for announced in (1, 2):
        async with raw() as (end, channel):
            reading, writing = os.pipe()
            with socket.socket() as sent:
                socket.send_fds(end, [HEAD.pack(9, announced)], [sent.fileno(), writing][:1])
            os.close(writing)
            os.close(reading)
            end.close()
            with pytest.raises(EOFError):
                await channel.receive()


async def test_a_reset_is_an_end() -> None:
    """The other one has gone with what was sent to it unread."""
    async with raw() as (end, channel):
        await channel.send(Note("unread"))
        end.close()
        with pytest.raises(EOFError):
            await channel.receive()
        await channel.close()
        with pytest.raises(EOFError):
            await channel.receive()


async def test_a_process_without_room_for_more_files() -> None:
    """Takes no half of the sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = [socket.socket() for _ in range(20)]
    async with ends() as (one, other):
        await one.send(Note("many"), kept)
        highest = max(each.fileno() for each in kept)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, hard))
        try:
            with pytest.raises(EOFError):
                await other.receive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for each in kept:
        each.close()

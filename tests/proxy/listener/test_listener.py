import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web

from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.listener.hosting import Endless
from tests.proxy.listener.ways import (
    HALVES,
    ORDINARY,
    WAIT,
    Caller,
    Place,
    nothing_is_left,
    placed,
    until,
)
from tests.proxy.noting_lane import CARRIED_ON, FAST
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
    endless = Endless()
    listener = Listener(endless, patience=0.05)
    origin = await listener.open("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await endless.entered.wait()
    await listener.close()
    assert endless.cancelled.is_set()
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


CALLS = pytest.mark.parametrize(
    ("body", "ways"), [(WAIT, [FAST]), (HALVES, [FAST, CARRIED_ON])], ids=["fast", "carried-on"]
)


async def _on_its_way(place: Place, body: bytes, ways: list[str]) -> Caller:
    """A client whose call has been sent on by now, by this way."""
    caller = await place.connect()
    await caller.in_step()
    place.ways.clear()
    caller.send(body)
    await place.server.entered.wait()
    await until(lambda: place.ways == ways)
    return caller


@CALLS
async def test_a_clean_close_waits_for_calls_that_were_sent_on_at_once(body: bytes, ways: list[str]) -> None:
    """They are answered, whichever way they end; no other call goes fast meanwhile."""
    async with placed(patience=10) as place:
        caller = await _on_its_way(place, body, ways)
        other = await place.connect()
        await until(lambda: len(place.proxy.listener._server.connections) == 2)
        closing = asyncio.create_task(place.proxy.listener.close())
        await _until_refused(place.proxy)
        other.send(b"late")
        status, fields, answered = await other.answer()
        assert (status, fields["Connection"], answered) == (200, "close", b"late")
        assert not closing.done()
        place.server.go.set()
        status, fields, answered = await caller.answer()
        assert (status, answered) == (200, body)
        if body == WAIT:
            assert fields["Connection"] == "close"
        assert await caller.is_ended()
        await closing
        assert place.ways == ([FAST, ORDINARY, CARRIED_ON] if body == WAIT else [FAST, CARRIED_ON, ORDINARY])


@CALLS
async def test_patience_ends_for_calls_that_were_sent_on_at_once(body: bytes, ways: list[str]) -> None:
    """They are cut, and their connections to the server with them."""
    async with placed(patience=0.05) as place:
        caller = await _on_its_way(place, body, ways)
        await place.proxy.listener.close()
        await place.server.left.wait()
        await caller.reader.read()
        assert caller.reader.at_eof()
        await nothing_is_left(place)


@pytest.mark.parametrize(("version", "way"), [("3.14.99", FAST), ("3.15.0", ORDINARY), ("4.0.0", ORDINARY)])
async def test_the_lane_is_for_the_known_aiohttp_alone(monkeypatch: pytest.MonkeyPatch, version: str, way: str) -> None:
    """Where it is another one, whose inner names may be others, all goes the ordinary way."""
    async with placed() as place:
        caller = await place.connect()
        await caller.in_step()
        place.ways.clear()
        monkeypatch.setattr(aiohttp, "__version__", version)
        place.serve(place.lane())
        for _ in range(2):
            assert await caller.call(b"{}") == b"{}"
        assert place.ways == [way, way]


async def test_a_lane_is_not_needed() -> None:
    """Whoever serves without one answers all in the ordinary way."""
    async with placed() as place:
        place.serve(None)
        caller = await place.connect()
        for _ in range(3):
            assert await caller.call(b"{}") == b"{}"
        assert place.ways == [ORDINARY] * 3

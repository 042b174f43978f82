"""Both ways to send a request, by the same tests: what goes wrong, and who goes in the middle."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from jmap_proxy.proxy.upstream import direct
from jmap_proxy.proxy.upstream.body import BufferedBody
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.proxy.upstream.sender import Sender
from tests.proxy.upstream.scripts import (
    FAULTS,
    IMPATIENT,
    OK,
    OTHER,
    TIME_LIMIT,
    TIMES,
    Peer,
    answering,
    ask,
    once,
    serving,
    silent,
    start,
)
from tests.support.certificates import private_authority


@pytest.mark.parametrize(
    "head",
    [
        b"220 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 1000 + b"\r\n",
    ],
)
async def test_a_head_that_cannot_be_read(sender: Sender, head: bytes) -> None:
    """An error that the exchange knows; the connection is closed, and nothing is asked for twice."""
    async with serving(once(head), answering(OTHER)) as server:
        with pytest.raises(FAULTS):
            await ask(sender, server, "POST", b"{}")
        await server.left.wait()
        assert await ask(sender, server) == (200, b"other")
    assert len(server.heads) == 2


async def test_the_end_in_the_middle_of_a_head(sender: Sender) -> None:
    """Half a head is no answer."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Le")

    async with serving(script, answering(OTHER)) as server:
        with pytest.raises(FAULTS):
            await ask(sender, server, "POST", b"{}")
        assert await ask(sender, server) == (200, b"other")


@pytest.mark.parametrize(
    "part", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_the_end_in_the_middle_of_a_body(sender: Sender, part: bytes) -> None:
    """Half a body never looks like a whole one."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n" + part)

    async with serving(script, answering(OTHER)) as server:
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(sender, server)
        assert await ask(sender, server) == (200, b"other")


async def test_a_chunk_that_cannot_be_read(sender: Sender) -> None:
    """Whoever waits for the rest is told, also when it comes later than the first ones."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await go_on.wait()
        await peer.say(b"no length\r\n")
        await peer.left()

    async with serving(script) as server:
        answer = await start(sender, server)
        assert await answer.content.readany() == b"abc"
        go_on.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
        answer.close()
        await server.left.wait()


async def test_a_server_that_says_nothing(sender: Sender) -> None:
    """It is given up after `sock_read`; a POST is not sent again."""
    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, "POST", b"{}", IMPATIENT)
        await server.left.wait()
    assert len(server.heads) == 1


async def test_a_server_that_says_nothing_after_an_interim_answer(sender: Sender) -> None:
    """It has bought no more time than `sock_read` by that."""
    async with serving(once(b"HTTP/1.1 102 Processing\r\n\r\n")) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=IMPATIENT)
        await server.left.wait()


async def test_a_server_that_stops_in_the_middle_of_a_head(sender: Sender) -> None:
    """Its first bytes buy no more time than `sock_read`."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-")) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=IMPATIENT)
        await server.left.wait()


async def test_a_server_that_stops_in_the_middle_of_a_body(sender: Sender) -> None:
    """Whoever reads it is told."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=IMPATIENT)
        await server.left.wait()


async def test_a_server_that_goes_on_slowly_is_waited_for(sender: Sender) -> None:
    """Each piece buys `sock_read` anew: all of it may take longer."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.1)
            await peer.say(b"x")

    async with serving(script) as server:
        times = aiohttp.ClientTimeout(total=None, connect=5, sock_read=0.6)
        assert await ask(sender, server, times=times) == (200, b"x" * 8)


async def test_idle_connections_have_no_time_limit_of_a_request(sender: Sender) -> None:
    """What was left of a request's patience when its answer had come does not end the connection later."""
    async with serving(answering(OK)) as server:
        assert await ask(sender, server, times=IMPATIENT) == (200, b"first")
        await asyncio.sleep(0.15)  # three times as long as the server could have been silent
        assert await ask(sender, server, times=IMPATIENT) == (200, b"first")
    assert server.connections == 1


async def test_time_for_all_of_it(sender: Sender) -> None:
    """Where there is a `total`, it counts, whichever the way."""
    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            await ask(sender, server, times=aiohttp.ClientTimeout(total=0.05))
        await server.left.wait()


async def test_a_connection_that_does_not_come_in_time(sender: Sender) -> None:
    """It has a type of its own, since nothing was sent: also a POST can be told to come again."""
    async with serving(hello_only) as server:
        times = aiohttp.ClientTimeout(total=None, connect=0.05)
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await sender.request("POST", server.origin.replace("http", "https"), [], BufferedBody(b"{}"), times)


async def hello_only(peer: Peer) -> None:
    """Read what comes and say nothing."""
    await peer.reader.read()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_a_caller_that_goes_before_the_head(sender: Sender, said: bytes) -> None:
    """Cancelled in the middle of a head: the server sees the end, and the connection serves nobody else."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(said)
        asked.set()
        await peer.left()

    async with serving(script, answering(OTHER)) as server:
        asking = asyncio.create_task(ask(sender, server))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.left.wait()
        assert await ask(sender, server) == (200, b"other")


async def test_a_caller_that_goes_in_the_middle_of_a_body(sender: Sender) -> None:
    """As above; what comes of the body later is nobody's answer."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), answering(OTHER)) as server:
        answer = await start(sender, server)
        assert await answer.content.readany() == b"half"
        reading = asyncio.create_task(answer.content.readany())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        answer.close()
        await server.left.wait()
        assert await ask(sender, server) == (200, b"other")


async def test_a_caller_that_does_not_want_the_body(sender: Sender) -> None:
    """Closing an answer that has not come whole closes its connection."""
    async with serving(once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")) as server:
        (await start(sender, server)).close()
        await server.left.wait()


async def test_closing_an_answer_that_has_come_whole_costs_nothing(sender: Sender) -> None:
    """Its connection is in the pool already."""
    async with serving(answering(OK)) as server:
        answer = await start(sender, server)
        await answer.content.read()
        answer.close()
        answer.close()
        assert await ask(sender, server) == (200, b"first")
    assert server.connections == 1


@pytest.mark.parametrize("unasked", [OTHER, b"junk\r\n\r\n", b"x"])
async def test_bytes_that_nobody_asked_for(sender: Sender, unasked: bytes) -> None:
    """In one piece with an answer, behind its end: the next request goes another way."""
    async with serving(once(OK + unasked), answering(OTHER)) as server:
        with suppress(aiohttp.ClientError):  # aiohttp may refuse the piece as a whole, or its answer alone
            assert await ask(sender, server) == (200, b"first")
        assert await ask(sender, server) == (200, b"other")
        await server.left.wait()
    assert len(server.heads) == 2


@pytest.mark.parametrize("bad", ["a\r\nX-Injected: b", "a\x00b", "a\nb", "\x7f"])
async def test_no_control_character_gets_into_a_head(sender: Sender, bad: str) -> None:
    """Nothing is sent."""
    async with serving(answering(OK)) as server:
        with pytest.raises(ValueError, match=r"(?i)control|newline|header"):
            await sender.request("GET", f"{server.origin}/x", [("X-Field", bad)], None, TIMES)
    assert server.heads == []


@pytest.mark.parametrize("short", [True, False])
async def test_tls(tmp_path: Path, *, short: bool) -> None:
    """The certificate is checked, and connections are kept."""
    ca_file, theirs = private_authority(tmp_path)
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    async with upstream_session(ssl.create_default_context(cafile=ca_file)) as http, asyncio.timeout(TIME_LIMIT):
        sender = Sender(http, short=short)
        for _ in range(2):
            answer = await sender.request("POST", url, [], BufferedBody(b""), TIMES)
            assert (answer.status, await answer.content.read()) == (200, b"first")
            answer.close()
    async with upstream_session() as http, asyncio.timeout(TIME_LIMIT):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await Sender(http, short=short).request("GET", url, [], None, TIMES)
    server.close()
    assert served == 1


async def test_the_ordinary_way_is_taken_by_what_the_short_one_does_not_know() -> None:
    """Another session's connections are not ours; and aiohttp itself may be another one."""
    async with aiohttp.ClientSession() as http, serving(answering(OK)) as server:
        assert Sender(http, short=True)._direct is None
        assert await ask(Sender(http, short=True), server) == (200, b"first")
    async with upstream_session() as http:
        assert (Sender(http)._direct is not None) == direct.is_known(aiohttp.__version__)
        assert Sender(http, short=False)._direct is None

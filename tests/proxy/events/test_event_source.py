import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from jmap_proxy.errors import SignInNeeded, TokenDelayed
from jmap_proxy.proxy.events.event_source import COMMENT, KEEP_ALIVE, UNTOLD, closes_after_state
from jmap_proxy.proxy.events.events import LONGEST_EVENT
from jmap_proxy.proxy.events.reconnect import BASE, CAP, STEADY
from jmap_proxy.proxy.forwarding import Bounds
from jmap_proxy.proxy.timing import Timing
from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import AUTH, SESSION, Proxy, Serve, Tokens, proxy_to, raw_server, scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
STREAM = OK + b"\r\n"
ONE, TWO, THREE = (b'event: state\nid: %d\ndata: {"n":%d}\n\n' % (number, number) for number in (1, 2, 3))
TIME_LIMIT = 10


@dataclass
class Waits:
    """Notes the waits instead of waiting; the jitter is at its largest, and the clock stands still."""

    seconds: list[float] = field(default_factory=list)
    step: float = 0.0
    now: float = 0.0

    async def sleep(self, seconds: float) -> None:
        """Note it, and let the others do something."""
        self.seconds.append(seconds)
        await asyncio.sleep(0)

    def clock(self) -> float:
        """A later time with each call, by `step`."""
        self.now += self.step
        return self.now

    @property
    def bounds(self) -> Bounds:
        """To be handed to a proxy."""
        return Bounds(timing=Timing(sleep=self.sleep, clock=self.clock, now=lambda: 0.0, jitter=lambda: 1.0))


@dataclass
class Upstream:
    """A server with an answer to each request for events; after each it closes, the last one's connection stays."""

    answers: list[bytes]
    heads: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answers.pop(0))
        await writer.drain()
        if not self.answers:
            await reader.read()
            self.left.set()

    def asked_with(self, name: bytes) -> list[bytes]:
        """The values of a header field, in each request in which it stands."""
        lines = [line for head in self.heads for line in head.split(b"\r\n")]
        return [line.partition(b": ")[2] for line in lines if line.lower().startswith(name.lower() + b":")]


@asynccontextmanager
async def proxy_for(serve: Serve, *, session: dict[str, Any] | None = None, **kwargs: Any) -> AsyncIterator[Proxy]:
    """A proxy in front of a server that serves events so."""
    async with (
        raw_server(scripted(serve, session)) as server,
        proxy_to(f"{server}/.well-known/jmap", **kwargs) as proxy,
        asyncio.timeout(TIME_LIMIT),
    ):
        yield proxy


async def ask(proxy: Proxy, *fields: str, **variables: str) -> asyncio.StreamReader:
    """Ask for events, byte by byte."""
    path = "/" + (await proxy.url("eventSourceUrl", **variables)).split("/", 3)[3]
    reader, _ = await proxy.raw(f"GET {path} HTTP/1.1", "Host: localhost", AUTH, *fields)
    return reader


async def listen(proxy: Proxy, *fields: str, **variables: str) -> asyncio.StreamReader:
    """Ask for events; the head is read already."""
    reader = await ask(proxy, *fields, **variables)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    return reader


@pytest.mark.parametrize("end", ["client leaves", "end_streams"])
async def test_an_event_stream_comes_in_whole_events_until_somebody_ends_it(end: str) -> None:
    """Close-delimited, uncompressed, one event in one piece; the exchange ends with the client or at the shutdown."""
    more, left, heads = asyncio.Event(), asyncio.Event(), list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n10\r\ndata: a\n\ndata: b\r\n")
        await more.wait()
        writer.write(b"3\r\nc\n\n\r\n")
        await reader.read()
        left.set()

    async with proxy_for(serve) as proxy:
        reader = await ask(proxy, "Accept-Encoding: gzip")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert b"chunked" not in head
        assert await reader.readexactly(9) == b"data: a\n\n"
        more.set()
        assert await reader.read(100) == b"data: bc\n\n"
        assert [line for line in heads[0].split(b"\r\n") if b"Encoding" in line] == [b"Accept-Encoding: identity"]
        if end == "client leaves":
            proxy.leave()
        else:
            proxy.handler.end_streams("alice")
            assert await reader.read() == b""
        await left.wait()


async def test_the_sandboxs_events_pass(mail: MailServer, proxy: Proxy) -> None:
    """Each change as soon as the server tells it; the server's stream ends when the client leaves."""
    async with asyncio.timeout(TIME_LIMIT):
        reader = await listen(proxy)
        for state in (b"s2", b"s3"):
            mail.push_state()
            event = await reader.readuntil(b"\n\n")
            assert b"event: state\n" in event
            assert b'"Email": "%b"' % state in event
        assert mail.streams == 1
        proxy.leave()
        while mail.streams:  # noqa: ASYNC110 - the sandbox tells a number, no event
            await asyncio.sleep(0)


async def test_a_client_that_does_not_read_makes_the_server_wait() -> None:
    """Flat memory; and when it leaves, the server is left, and not asked again."""
    heads, left, waiting = list[bytes](), asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(STREAM)
        event = b"data: " + bytes(range(32, 127)) * 1000 + b"\n\n"
        try:
            while True:
                writer.write(event)
                if writer.transport.get_write_buffer_size():
                    waiting.set()
                await writer.drain()
        finally:
            left.set()

    async with proxy_for(serve, bounds=Waits().bounds) as proxy:
        await ask(proxy)
        await waiting.wait()
        proxy.leave()
        await left.wait()
        assert len(heads) == 1


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDS = {
    "closed": STREAM + ONE,
    "in the middle of an event": STREAM + ONE + TWO[:-5],
    "chunks ended": CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ONE), ONE),
    "chunks broken off": CHUNKED + b"%x\r\n%b\r\n" % (len(ONE), ONE),
    "a length": OK + b"Content-Length: %d\r\n\r\n%b" % (len(ONE), ONE),
    "a length and broken off": OK + b"Content-Length: 1000\r\n\r\n%b" % ONE,
    "without a type": b"HTTP/1.1 200 OK\r\n\r\n" + ONE,
    "told twice": STREAM + ONE,
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_next_stream_is_joined_on(end: str) -> None:
    """However the server's stream ends: it is asked again with the last event id, and the client sees no break."""
    upstream = Upstream([ENDS[end], STREAM + (ONE if end == "told twice" else b"") + TWO, STREAM + THREE])
    async with proxy_for(upstream.serve, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE + TWO + THREE)) == ONE + TWO + THREE
        assert upstream.asked_with(b"Last-Event-ID") == [b"1", b"2"]
        assert len(upstream.heads) == 3
        assert upstream.heads[1].split(b"\r\n")[0] == upstream.heads[0].split(b"\r\n")[0]


async def test_a_stream_that_cannot_be_read_any_more_is_left() -> None:
    """Broken chunks are a break like others."""
    upstream, more = Upstream([STREAM + TWO]), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if more.is_set():
            await upstream.serve(reader, writer)
            return
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"%x\r\n%b\r\n" % (len(ONE), ONE))
        await more.wait()
        writer.write(b"no chunk\r\n")
        await reader.read()

    async with proxy_for(serve, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE)) == ONE
        more.set()
        assert await reader.readexactly(len(TWO)) == TWO


async def test_the_clients_own_event_id_counts_until_the_server_sets_one() -> None:
    """It is passed on, sent again, replaced, and left out when the server has taken the id back."""
    nothing, reset = STREAM + b": hello\n\n", STREAM + b"id\ndata: x\n\n"
    upstream = Upstream([nothing, nothing, STREAM + ONE, reset, STREAM + TWO])
    async with proxy_for(upstream.serve, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy, "Last-Event-Id: 0")
        await reader.readuntil(TWO)
    assert upstream.asked_with(b"Last-Event-ID") == [b"0", b"0", b"0", b"1"]
    assert len(upstream.heads) == 5


async def test_a_stream_whose_token_has_died_goes_on_with_a_fresh_one(
    mail: MailServer, proxy: Proxy, tokens: Tokens
) -> None:
    """The server drops the stream and answers 401; what it tells meanwhile comes afterwards."""
    async with asyncio.timeout(TIME_LIMIT):
        reader = await listen(proxy)
        mail.push_state()
        assert b"id: 1\n" in await reader.readuntil(b"\n\n")
        mail.refused_tokens.add("good")
        mail.drop_streams()
        mail.push_state()
        mail.push_state()
        assert b"id: 2\n" in await reader.readuntil(b"\n\n")
        assert b"id: 3\n" in await reader.readuntil(b"\n\n")
    assert "replace good" in tokens.calls
    assert mail.requests[-1].token == "better"


LASTING = {
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "redirect": b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "forbidden": b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
    "token refused": b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("refusal", LASTING)
async def test_a_refusal_that_lasts_ends_the_stream(refusal: str) -> None:
    """The client asks again, and is told why."""
    upstream = Upstream([STREAM + ONE + TWO[:-5], LASTING[refusal], b""])
    async with proxy_for(upstream.serve, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.read() == ONE
        assert len(upstream.heads) == 2


async def test_a_sign_in_that_is_gone_ends_the_stream() -> None:
    """When the server has ended its stream there is no token for another one."""
    more = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + ONE)
        await more.wait()

    async with proxy_for(serve, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE)) == ONE
        proxy.tokens.error = SignInNeeded("alice", "the provider refused the refresh token")
        more.set()
        assert await reader.read() == b""


@pytest.mark.parametrize("template", ["/ev?types={types}&closeafter={closeafter}", "/ev?closeAfter={closeafter}"])
async def test_a_stream_that_is_to_close_after_a_state_closes(template: str) -> None:
    """But not before there was one, and whatever the server calls the parameter."""
    upstream = Upstream([STREAM + b"event: ping\ndata: {}\n\n", STREAM + ONE, b""])
    session = SESSION | {"eventSourceUrl": template}
    async with proxy_for(upstream.serve, session=session, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy, closeafter="state")
        assert (await reader.read()).endswith(ONE)
        assert len(upstream.heads) == 2


@pytest.mark.parametrize(
    ("query", "closes"),
    [
        ("?closeafter=state", True),
        ("?a=b&closeAfter=state", True),
        ("?closeafter=no", False),
        ("?x=closeafter=state", False),
        ("", False),
    ],
)
def test_who_asks_for_the_end(query: str, closes: bool) -> None:
    """By the parameter's name in any case, and its exact value."""
    assert closes_after_state(f"https://a.example/ev{query}") is closes


AWAY = [b"", b""]
"""A server that closes without an answer; aiohttp asks it once more by itself."""

PASSING = {
    "busy": (b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 7.0),
    "too many": (b"HTTP/1.1 429 X\r\nRetry-After: Thu, 01 Jan 1970 00:00:09 GMT\r\nContent-Length: 0\r\n\r\n", 9.0),
    "no HTTP": (b"HTTP/9 what?\r\n\r\n", BASE),
    "bad gateway": (b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n", BASE),
    "a gateway's page": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\ndata: no event\n\n", BASE),
    "no answer": (b"", BASE),
}


@pytest.mark.parametrize("refusal", PASSING)
async def test_a_refusal_that_passes_is_waited_for(refusal: str) -> None:
    """As long as the server asks for, and nothing of its answer reaches the client."""
    answer, wait = PASSING[refusal]
    answers = [answer] if answer else AWAY
    upstream, waits = Upstream([STREAM + ONE, *answers, STREAM + TWO]), Waits()
    async with proxy_for(upstream.serve, bounds=waits.bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE + TWO)) == ONE + TWO
        assert waits.seconds == [wait]


async def test_a_token_that_is_delayed_is_waited_for() -> None:
    """While the identity provider is away the client's stream stays open."""
    waits, upstream, more = Waits(), Upstream([STREAM + TWO]), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if more.is_set():
            await upstream.serve(reader, writer)
            return
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + ONE)
        await more.wait()

    async def sleep(seconds: float) -> None:
        await waits.sleep(seconds)
        proxy.tokens.error = None

    bounds = replace(waits.bounds, timing=replace(waits.bounds.timing, sleep=sleep))
    async with proxy_for(serve, bounds=bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE)) == ONE
        proxy.tokens.error = TokenDelayed("the provider is away", retry_after=3)
        more.set()
        assert await reader.readexactly(len(TWO)) == TWO
        assert waits.seconds == [3.0]


async def test_a_server_that_ends_each_stream_at_once_is_asked_less_and_less() -> None:
    """And the client gets a comment now and then, so that it is noticed if it has gone."""
    upstream, waits = Upstream([*[STREAM + b": hello\n\n"] * 9, STREAM + TWO]), Waits()
    async with proxy_for(upstream.serve, bounds=waits.bounds) as proxy:
        reader = await listen(proxy)
        await reader.readuntil(TWO)
    last = [KEEP_ALIVE, CAP - KEEP_ALIVE]
    assert waits.seconds == [BASE, 1.0, 2.0, 4.0, 8.0, KEEP_ALIVE, 1.0, *last, *last]


async def test_a_client_gets_comments_while_the_server_is_away() -> None:
    """Between whole events, so that they say nothing."""
    away = b"HTTP/1.1 503 X\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n"
    upstream, waits = Upstream([STREAM + ONE + TWO[:-5], away, STREAM + TWO]), Waits()
    async with proxy_for(upstream.serve, bounds=waits.bounds) as proxy:
        reader = await listen(proxy)
        told = await reader.readuntil(TWO)
    assert told == ONE + COMMENT * 2 + TWO
    assert waits.seconds == [KEEP_ALIVE, KEEP_ALIVE, 10.0]


async def test_a_stream_that_worked_is_asked_for_again_at_once() -> None:
    """No matter how often its server is restarted."""
    upstream, waits = Upstream([*[STREAM + b": hello\n\n"] * 9, STREAM + TWO]), Waits(step=STEADY)
    async with proxy_for(upstream.serve, bounds=waits.bounds) as proxy:
        reader = await listen(proxy)
        await reader.readuntil(TWO)
    assert waits.seconds == []


async def test_a_server_that_falls_silent_is_asked_again() -> None:
    """It had promised pings; its connection is closed. One that has promised none may be silent."""
    ping, gone, heads = b'event: ping\ndata: {"interval":0.01}\n\n', asyncio.Event(), list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(STREAM + (ONE + ping if len(heads) == 1 else TWO))
        await reader.read()
        gone.set()

    bounds = Bounds(stream_silence=0.03)
    async with proxy_for(serve, bounds=bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE + ping + TWO)) == ONE + ping + TWO
        await gone.wait()
        assert len(heads) == 2


async def test_a_server_that_does_not_begin_to_answer_is_given_up() -> None:
    """At first the client is told, later the server is asked again."""
    heads, silent = list[bytes](), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) in (1, 3):
            silent.set()
            await reader.read()
        writer.write(STREAM + (ONE if len(heads) == 2 else TWO))
        if len(heads) > 3:
            await reader.read()

    bounds = replace(Waits().bounds, stream_head=0.5)
    async with proxy_for(serve, bounds=bounds) as proxy:
        head = await (await ask(proxy)).readuntil(b"\r\n\r\n")
        assert head.split()[1] == b"503"
        assert b"Retry-After: " in head
        reader = await listen(proxy)
        assert await reader.readexactly(len(ONE + TWO)) == ONE + TWO
        assert len(heads) == 4


@pytest.mark.parametrize("end", ["client leaves", "end_streams"])
async def test_the_wait_for_the_server_ends_too(end: str) -> None:
    """A client that leaves while the server is away, or an account that is signed out, leaves nothing behind."""
    asleep, ended = asyncio.Event(), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    upstream = Upstream([STREAM + b": hello\n\n", *AWAY, b""])
    bounds = replace(Waits().bounds, timing=replace(Waits().bounds.timing, sleep=sleep))
    async with proxy_for(upstream.serve, bounds=bounds) as proxy:
        reader = await listen(proxy)
        await asleep.wait()
        if end == "client leaves":
            proxy.leave()
        else:
            proxy.handler.end_streams("bob")
            proxy.handler.end_streams("alice")
            assert await reader.read() == b": hello\n\n"
        await ended.wait()


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n", gzip.compress(ONE, mtime=0)),
        (b"Content-Type: application/json\r\n", b"{}"),
    ],
)
async def test_what_is_no_stream_of_events_passes_as_it_is(fields: bytes, body: bytes) -> None:
    """Nothing can be joined on to it."""
    upstream = Upstream([b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body)])
    async with (
        proxy_for(upstream.serve) as proxy,
        proxy.request("GET", await proxy.url("eventSourceUrl")) as response,
    ):
        assert (response.status, await response.read()) == (200, body)
        assert "Connection" not in response.headers


async def test_a_refusal_at_the_beginning_passes_as_it_is(mail: MailServer, proxy: Proxy) -> None:
    """It is the client's to ask again."""
    mail.faults.add("events", Fault(status=503, headers={"Retry-After": "5"}))
    async with proxy.request("GET", await proxy.url("eventSourceUrl")) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_nothing_is_joined_on_to_half_an_event() -> None:
    """One that was too long to be held back; the client's stream ends with the server's."""
    endless = b"data: " + b"x" * LONGEST_EVENT
    upstream = Upstream([STREAM + endless, b""])
    async with proxy_for(upstream.serve, bounds=Waits().bounds) as proxy:
        reader = await listen(proxy)
        assert await reader.read() == endless
        assert len(upstream.heads) == 1


class Away(Waits):
    """Waits in which time goes by while the server refuses."""

    async def sleep(self, seconds: float) -> None:
        """Let so much time go by."""
        self.now += seconds
        await super().sleep(seconds)


REFUSE_ONCE = b"HTTP/1.1 503 Away\r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"
BARE = b'event: state\ndata: {"n":%d}\n\n'


@pytest.mark.parametrize(
    ("away", "fields", "first", "ends"),
    [
        (3, (), BARE % 1, False),
        (UNTOLD + 1, (), BARE % 1, True),
        (UNTOLD + 1, (), b"", True),
        (UNTOLD + 1, (), ONE, False),
        (UNTOLD + 1, ("Last-Event-ID: 7",), BARE % 1, False),
    ],
)
async def test_where_changes_may_have_been_missed_the_stream_ends(
    away: float, fields: tuple[str, ...], first: bytes, *, ends: bool
) -> None:
    """Without an event id a server that was away for long cannot be asked what happened meanwhile; the client can."""
    upstream = Upstream([STREAM + first, REFUSE_ONCE % away, STREAM + TWO])
    async with proxy_for(upstream.serve, bounds=Away().bounds) as proxy:
        reader = await listen(proxy, *fields)
        shown = await (reader.read() if ends else reader.readexactly(len(first + TWO)))
    assert shown == (first if ends else first + TWO)

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import (
    TokenDelayed,
    UpstreamMalformed,
    UpstreamOriginRefused,
    UpstreamRefusedToken,
    UpstreamSilent,
    UpstreamSlow,
    UpstreamUnreachable,
)
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.upstream.body import BufferedBody, SpooledBody
from jmap_proxy.proxy.upstream.exchange import ANSWERED, LEAST, PROMPT, STREAM, Begun, Call, Exchange, end_of_step
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import Proxy, Tokens, answering, proxy_to, raw_server, scripted
from tests.proxy.upstream.scripts import OK, Peer, closing, serving, silent
from tests.proxy.upstream.scripts import answering as answering_all
from tests.proxy.upstream.waiting import Waiting

ECHO = json.dumps({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": "é"}, "0"]]}).encode()
JSON = {"Content-Type": "application/json"}


async def api(proxy: Proxy) -> tuple[int, Any, Any]:
    """One API request: status, JSON, header."""
    async with proxy.request("POST", await proxy.url("apiUrl"), data=ECHO, headers=JSON) as response:
        return response.status, json.loads(await response.content.read()), response.headers


async def test_a_refused_token_is_replaced_and_the_body_replayed(
    proxy: Proxy, mail: MailServer, tokens: Tokens
) -> None:
    """The client gets a good answer; the server saw the request twice, with one token each."""
    await proxy.session()
    mail.refused_tokens.add("good")
    status, answer, _ = await api(proxy)
    assert (status, answer["methodResponses"][0][1]) == (200, {"a": "é"})
    assert tokens.calls.count("replace good") == 1
    assert mail.requests[-1].token == "better"


async def test_the_replayed_body_is_the_same_byte_for_byte() -> None:
    """Both times."""
    bodies = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        bodies.append(await reader.readexactly(len(ECHO)))
        status = b"401 No" if len(bodies) == 1 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    async with (
        raw_server(scripted(serve)) as server,
        proxy_to(f"{server}/.well-known/jmap", Tokens("good", "better")) as proxy,
    ):
        assert (await api(proxy))[0] == 200
    assert bodies == [ECHO, ECHO]


async def test_a_server_that_refuses_everything_is_asked_twice(proxy: Proxy, mail: MailServer, tokens: Tokens) -> None:
    """One retry, then a clear 502 and never the server's 401 or challenge."""
    await proxy.session()
    mail.refuse_all = True
    before = len(mail.requests)
    async with proxy.request("GET", "/.well-known/jmap") as response:
        assert response.status == 502
        assert "WWW-Authenticate" not in response.headers
        assert (await response.json(content_type=None))["type"].endswith("upstream-refused-token")
    assert len(mail.requests) == before + 2
    assert tokens.calls[-1] == "refused better"


async def test_no_token_goes_to_another_origin(tokens: Tokens) -> None:
    """A Session redirect to an origin that is not allowed is refused before anything is sent there."""
    seen: list[bytes] = []
    async with raw_server(answering(b"", seen)) as other:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            location = f"HTTP/1.1 302 Found\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n"
            writer.write(location.encode())

        async with (
            raw_server(serve) as server,
            proxy_to(f"{server}/s", tokens) as proxy,
            proxy.request("GET", "/.well-known/jmap") as response,
        ):
            assert response.status == 502
            assert other in (await response.json(content_type=None))["detail"]
    assert seen == []


async def test_plain_http_beyond_the_machine_gets_no_token() -> None:
    """Even if it is the configured server."""
    tokens = Tokens()
    async with proxy_to("http://192.0.2.1/s", tokens) as proxy, proxy.request("GET", "/.well-known/jmap") as response:
        assert (await response.json(content_type=None))["type"].endswith("upstream-origin-refused")
    assert tokens.calls == []


@pytest.mark.parametrize("fault", [Fault(drop=True), Fault(drop_early=True)])
async def test_a_post_is_never_repeated_after_a_connection_error(proxy: Proxy, mail: MailServer, fault: Fault) -> None:
    """The server sees it once and the client gets a clear 502."""
    await proxy.session()
    mail.faults.add("api", fault)
    status, problem, header = await api(proxy)
    assert (status, problem["status"], header["Content-Type"]) == (502, 502, "application/problem+json")
    assert [request.method for request in mail.requests].count("POST") == 1


async def test_a_server_that_is_down_is_told() -> None:
    """502 with the origin and a hint."""
    async with raw_server(answering(b"")) as server:
        pass
    async with proxy_to(f"{server}/s") as proxy, proxy.request("GET", "/.well-known/jmap") as response:
        problem = await response.json(content_type=None)
        assert (response.status, problem["type"]) == (502, "urn:jmap-proxy:error:upstream-unreachable")
        assert server in problem["detail"]


async def test_bad_tls_is_told() -> None:
    """What does not speak TLS, or shows no good certificate, gets no token."""

    async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is not TLS\r\n")
        await writer.drain()

    async with (
        raw_server(garbage) as server,
        proxy_to(server.replace("http", "https") + "/s") as proxy,
        proxy.request("GET", "/.well-known/jmap") as response,
    ):
        assert (response.status, "TLS" in await response.text()) == (502, True)


class Held:
    """A server that reads the head of each request and answers when it is told to; the first answers are `first`."""

    def __init__(self, *first: bytes) -> None:
        self.answers = list(first)
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self.left = asyncio.Event()
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a raw server."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        self.asked.set()
        asking = asyncio.create_task(reader.read())
        await asyncio.wait([asking, asyncio.create_task(self.release.wait())], return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            self.left.set()
        answer = self.answers.pop(0) if self.answers else b"HTTP/1.1 200 OK"
        writer.write(answer + b"\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()


class Slow(Tokens):
    """A source that lets those who want a token wait, at the start or for another one; `seconds` None: for ever."""

    def __init__(self, *tokens: str, at: str, seconds: float | None = None) -> None:
        super().__init__(*tokens)
        self._at = at
        self._seconds = seconds

    async def ensure_valid_token(self) -> str:
        """Wait if it is the start."""
        await self._wait("ensure")
        return await super().ensure_valid_token()

    async def replace_rejected(self, rejected: str) -> str:
        """Wait if it is for another one."""
        await self._wait("replace")
        return await super().replace_rejected(rejected)

    async def _wait(self, step: str) -> None:
        come = asyncio.Event()
        if self._seconds is not None:
            asyncio.get_running_loop().call_later(self._seconds, come.set)
        if step == self._at:
            await come.wait()


@asynccontextmanager
async def exchange_with(origin: str, tokens: Tokens | None = None, first_byte: float = 0.05) -> AsyncIterator[Exchange]:
    """An exchange with one origin."""
    async with upstream_session() as http:
        yield Exchange(http, tokens or Tokens(), frozenset({parse_origin(origin)}), first_byte=first_byte)


async def status(exchange: Exchange, call: Call) -> int:
    """The status of the answer."""
    async with exchange.send(call) as response:
        return response.status


async def test_what_can_be_asked_again_must_be_answered_in_time() -> None:
    """503 with Retry-After, and the exchange with the server is ended."""
    server = Held()
    async with raw_server(server.serve) as origin, exchange_with(origin) as exchange:
        with pytest.raises(UpstreamSlow) as caught:
            await status(exchange, Call("GET", f"{origin}/x", [], prompt=True))
        async with asyncio.timeout(5):
            await server.left.wait()
    assert (caught.value.status, caught.value.headers()) == (503, {"Retry-After": "2"})
    assert "limits.first_byte" in caught.value.hint


@pytest.mark.parametrize("call", [Call("POST", "/post", []), Call("GET", "/events", [], timeout=STREAM)])
async def test_what_the_server_has_got_is_waited_for(call: Call) -> None:
    """A request that may change something, and a stream: also when another one is given up meanwhile."""
    server = Held()
    async with raw_server(server.serve) as origin, exchange_with(origin) as exchange:
        waiting = asyncio.create_task(status(exchange, Call(call.method, origin + call.url, [], timeout=call.timeout)))
        await server.asked.wait()
        with pytest.raises(UpstreamSlow):
            await status(exchange, Call("GET", f"{origin}/x", [], prompt=True))
        server.release.set()
        assert await waiting == 200


async def test_a_server_that_says_nothing_leaves_the_outcome_unknown() -> None:
    """504 and no Retry-After: a client that repeated it could do the same thing twice."""
    server = Held()
    call = Call("POST", "/x", [], BufferedBody(b"{}"), timeout=aiohttp.ClientTimeout(sock_read=0.05))
    async with raw_server(server.serve) as origin, exchange_with(origin) as exchange:
        with pytest.raises(UpstreamSilent) as caught:
            await status(exchange, Call(call.method, f"{origin}/x", [], call.body, timeout=call.timeout))
    assert (caught.value.status, caught.value.headers()) == (504, {})
    assert len(server.heads) == 1


async def test_a_connection_that_does_not_come_in_time_costs_nothing() -> None:
    """Nothing was sent, so that also a POST is told to come again."""
    greeted = asyncio.Event()

    async def never_shakes_hands(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        greeted.set()
        await reader.read()

    async with raw_server(never_shakes_hands) as server, asyncio.timeout(10):
        origin = server.replace("http", "https")
        async with exchange_with(origin) as exchange:
            with pytest.raises(UpstreamSlow):
                await status(exchange, Call("POST", f"{origin}/x", [], BufferedBody(b"{}")))
        await greeted.wait()


class AtHand(Tokens):
    """A source that has a token at hand, until it is rejected."""

    def token_now(self) -> str | None:
        """The first one left."""
        self.calls.append("now")
        return self.tokens[0]


async def test_a_token_that_is_at_hand_is_not_waited_for() -> None:
    """It is asked for anew with each request, and what happens to a rejected one is the same."""
    server = Held(b"HTTP/1.1 200 OK", b"HTTP/1.1 401 No")
    server.release.set()
    tokens = AtHand("good", "better")
    async with raw_server(server.serve) as origin, exchange_with(origin, tokens) as exchange, asyncio.timeout(10):
        for _ in range(2):
            assert await status(exchange, Call("POST", f"{origin}/x", [], BufferedBody(b"{}"))) == 200
    assert tokens.calls == ["now", "now", "replace good"]
    assert [head.partition(b"Bearer ")[2].split()[0] for head in server.heads] == [b"good", b"good", b"better"]


@pytest.mark.parametrize(("at", "sent"), [("ensure", 0), ("replace", 1)])
async def test_a_token_is_not_waited_for_without_end(at: str, sent: int) -> None:
    """503 with Retry-After; a POST waits no longer than a GET, since it is not under way."""
    server = Held(b"HTTP/1.1 401 No")
    server.release.set()
    async with (
        raw_server(server.serve) as origin,
        exchange_with(origin, Slow("good", "better", at=at)) as exchange,
        asyncio.timeout(10),
    ):
        with pytest.raises(TokenDelayed) as caught:
            await status(exchange, Call("POST", f"{origin}/x", [], BufferedBody(b"{}")))
        assert caught.value.headers() == {"Retry-After": "2"}
        assert len(server.heads) == sent
        if at == "ensure":
            with pytest.raises(TokenDelayed):
                await exchange.see_token()


async def test_the_time_that_the_server_takes_does_not_count() -> None:
    """A token that is refused at the end of a long upload is replaced with the same patience as at the start."""
    server = Held(b"HTTP/1.1 401 No")
    source = Slow("good", "better", at="replace", seconds=0.6)
    async with raw_server(server.serve) as origin, exchange_with(origin, source, first_byte=1.0) as exchange:
        upload = asyncio.create_task(status(exchange, Call("POST", f"{origin}/x", [], BufferedBody(b"{}"))))
        await server.asked.wait()
        with pytest.raises(UpstreamSlow):
            await status(exchange, Call("GET", f"{origin}/x", [], prompt=True))
        server.release.set()
        assert await upload == 200


@pytest.mark.parametrize("number", [1, 20])
async def test_provisional_answers_are_passed_over(number: int) -> None:
    """100, 102 (Cyrus) and 103, also many at once; nothing of them reaches the client."""
    provisional = [b"100 Continue\r\n", b"102 Processing\r\nX-Early: 1\r\n", b"103 Hints\r\nLink: </x>\r\n"]
    flood = b"".join(b"HTTP/1.1 " + line + b"\r\n" for line in provisional) * number
    async with (
        raw_server(answering(flood + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request("POST", await proxy.url("apiUrl"), data=ECHO) as response,
    ):
        assert (response.status, await response.content.read()) == (200, b"{}")
        assert not {"Link", "X-Early"} & set(response.headers)


async def test_provisional_answers_without_end_are_given_up() -> None:
    """A server that sends nothing else, as fast as it can, would fill the memory and take all the loop's time."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
            await writer.drain()
            await asyncio.sleep(0)

    async with raw_server(endless) as origin, exchange_with(origin) as exchange, asyncio.timeout(10):
        with pytest.raises(UpstreamUnreachable):
            await status(exchange, Call("GET", f"{origin}/x", [], prompt=True))


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("https://m.example", "https://evil.example/x"),
        ("https://m.example", "https://m.example:8443/x"),
        ("https://m.example", "https://sub.m.example/x"),
        ("http://127.0.0.1:8620", "http://127.0.0.1:8621/x"),
        ("http://127.0.0.1:8620", "http://localhost:8620/x"),
        ("http://192.0.2.1", "http://192.0.2.1/x"),
    ],
)
async def test_the_last_gate_for_the_token(allowed: str, url: str) -> None:
    """Whoever asks: not another origin, be it https or of this machine, nor a listed one by plain http elsewhere."""
    tokens = Tokens()
    async with exchange_with(allowed, tokens) as exchange:
        with pytest.raises(UpstreamOriginRefused):
            await status(exchange, Call("GET", url, [], prompt=True))
    assert tokens.calls == []


def test_how_long_answers_may_take() -> None:
    """A stream has no end and may be silent, and an answer may take long to come, but not be silent for ever.

    Asserted as it is: no test can wait until there is no limit.
    """
    assert (STREAM.total, STREAM.sock_read) == (None, None)
    assert (ANSWERED.total, ANSWERED.sock_read) == (None, 120)
    assert PROMPT.total == 30


async def test_what_is_small_must_be_whole_in_time() -> None:
    """Of a call's times the one for all of it counts too, also when pieces keep coming."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with raw_server(trickle) as origin, exchange_with(origin) as exchange, asyncio.timeout(10) as limit:
        call = Call("GET", f"{origin}/x", [], timeout=aiohttp.ClientTimeout(total=0.1))
        async with exchange.send(call) as response:
            with pytest.raises(TimeoutError):
                await response.content.read()
        assert not limit.expired()


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_each_step_has_its_least(due: float, now: float) -> None:
    """However late it is; and one that ends at `due` by itself is never forestalled."""
    end = end_of_step(due, now)
    assert end - now >= LEAST * 0.99
    assert end > due
    assert end_of_step(10, 4) == 10 + LEAST
    assert end_of_step(4, 10) == 10 + LEAST


class Reused:
    """A server that answers the first request, and ends the connection in the middle of the second one."""

    def __init__(self, read: int) -> None:
        self.read = read
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a raw server."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(self.read)


async def arriving(*chunks: bytes, then: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """A client's body; it stops before its end if there is something to wait for."""
    for chunk in chunks:
        yield chunk
    if then is not None:
        await then.wait()


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(("read", "whole"), [(0, True), (3, True), (6, True), (0, False), (3, False)])
async def test_an_upload_is_not_repeated_on_another_connection(method: str, read: int, *, whole: bool) -> None:
    """The server has seen a part, or all of it; aiohttp by itself would send what is left of a PUT once more."""
    server = Reused(read)
    chunks = (b"abc", b"def") if whole else (b"abc",)
    body = SpooledBody(arriving(*chunks, then=None if whole else asyncio.Event()), 6, 1 << 20)
    async with raw_server(server.serve) as origin, exchange_with(origin) as exchange, asyncio.timeout(10):
        async with exchange.send(Call("GET", f"{origin}/x", [])) as response:
            await response.content.read()
        with pytest.raises(UpstreamUnreachable):
            await status(exchange, Call(method, f"{origin}/x", [], body))
    await body.close()
    assert [head.split()[0] for head in server.heads] == [b"GET", method.encode()]


NO = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
BODY = BufferedBody(b"")


async def begun(exchange: Exchange, origin: str, asker: Waiting) -> Begun:
    """A call that was sent at once, over the connection of one before."""
    async with exchange.send(Call("POST", f"{origin}/x", [], BODY)) as answer:
        await answer.content.read()
    prepared = exchange.prepare("POST", f"{origin}/x", [])
    assert prepared is not None
    sent = exchange.begin(prepared, b"", asker)
    assert sent is not None
    return sent


async def carried_on(exchange: Exchange, origin: str, sent: Begun, asker: Waiting) -> tuple[int, bytes]:
    """What becomes of it in the ordinary way, from where its answer begins to come."""
    try:
        data = await asker.heard_first()
        if data and sent.sent.connection is not None:
            sent.sent.connection.parse(data)
        async with exchange.send(Call("POST", f"{origin}/x", [], BODY, begun=sent)) as answer:
            return answer.status, await answer.content.read()
    finally:
        sent.sent.close()


async def test_a_call_is_begun_with_the_token() -> None:
    """The same head as in the ordinary way, byte for byte."""
    async with serving(answering_all(OK)) as server, exchange_with(server.origin, Tokens(at_once=True)) as exchange:
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        assert await asker.heard_first() == OK
        sent.sent.answered()
        assert sent.token == "good"
    assert server.heads[0] == server.heads[1]
    assert b"Authorization: Bearer good\r\n" in server.heads[1]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "https://m.example:8443/x",
        "https://sub.m.example/x",
        "http://m.example/x",
        "http://192.0.2.1/x",
    ],
)
async def test_nothing_is_prepared_for_whom_the_token_is_not_for(url: str) -> None:
    """Another origin, or a listed one by plain http elsewhere."""
    allowed = frozenset(map(parse_origin, ("https://m.example", "http://192.0.2.1")))
    async with upstream_session() as http:
        exchange = Exchange(http, Tokens(at_once=True), allowed)
        assert exchange.prepare("POST", "https://m.example/x", []) is not None
        with pytest.raises(UpstreamOriginRefused):
            exchange.prepare("POST", url, [])


@pytest.mark.parametrize(
    "tokens",
    [
        Tokens(),
        Tokens(at_once=True, error=TokenDelayed("late")),
        Tokens("a\r\nX-Evil: 1", at_once=True),
        Tokens("a\0", at_once=True),
    ],
    ids=["to-be-waited-for", "to-be-told", "line-break", "nul"],
)
async def test_nothing_is_begun_without_a_good_token(tokens: Tokens) -> None:
    """One that has to be waited for, none, or one that would be more than a field; the ordinary way tells."""
    async with serving(answering_all(OK)) as server, upstream_session() as http:
        allowed = frozenset({parse_origin(server.origin)})
        good = Exchange(http, Tokens(at_once=True), allowed)
        async with good.send(Call("POST", f"{server.origin}/x", [], BODY)) as answer:
            await answer.content.read()
        exchange = Exchange(http, tokens, allowed)
        prepared = exchange.prepare("POST", f"{server.origin}/x", [])
        assert prepared is not None
        assert exchange.begin(prepared, b"", Waiting()) is None
        asker = Waiting()
        sent = good.begin(prepared, b"", asker)
        assert sent is not None  # it was not for the want of a connection
        await asker.heard_first()
        sent.sent.answered()
    assert len(server.heads) == 2
    assert tokens.calls == []


async def test_nothing_is_begun_without_a_connection() -> None:
    """It would have to be waited for."""
    async with serving(answering_all(OK)) as server, exchange_with(server.origin, Tokens(at_once=True)) as exchange:
        prepared = exchange.prepare("POST", f"{server.origin}/x", [])
        assert prepared is not None
        assert exchange.begin(prepared, b"", Waiting()) is None
    assert server.connections == 0


async def test_a_token_that_is_refused_to_a_begun_call_is_replaced() -> None:
    """The call is sent once more, with its body and the next token."""
    tokens = Tokens("good", "better", at_once=True)
    async with serving(answering_all(OK, NO, OK)) as server, exchange_with(server.origin, tokens) as exchange:
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        assert await carried_on(exchange, server.origin, sent, asker) == (200, b"first")
    assert tokens.calls == ["replace good"]
    assert [head.partition(b"Bearer ")[2].split()[0] for head in server.heads] == [b"good", b"good", b"better"]


async def test_the_token_that_counts_is_the_one_that_was_sent() -> None:
    """Also where there is a newer one by the time that it is refused: that is not thrown away."""
    tokens = Tokens("good", "better", at_once=True)
    async with serving(answering_all(OK, NO, OK)) as server, exchange_with(server.origin, tokens) as exchange:
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        del tokens.tokens[0]
        tokens.tokens.append("best")
        assert await carried_on(exchange, server.origin, sent, asker) == (200, b"first")
    assert tokens.calls == ["replace good"]
    assert b"Bearer better\r\n" in server.heads[-1]


async def test_a_begun_call_is_sent_twice_at_most() -> None:
    """A server that refuses the second token too is told, as ever."""
    tokens = Tokens("good", "better", "best", at_once=True)
    async with serving(answering_all(OK, NO)) as server, exchange_with(server.origin, tokens) as exchange:
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        with pytest.raises(UpstreamRefusedToken):
            await carried_on(exchange, server.origin, sent, asker)
    assert tokens.calls == ["replace good", "refused better"]
    assert len(server.heads) == 3


async def test_the_next_token_is_not_waited_for_without_end() -> None:
    """With the same patience as for an ordinary call."""

    class SlowThen(Slow):
        def token_now(self) -> str | None:
            return "good"

    tokens = SlowThen("good", "better", at="replace")
    async with serving(answering_all(OK, NO)) as server, exchange_with(server.origin, tokens) as exchange:
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        with pytest.raises(TokenDelayed):
            await carried_on(exchange, server.origin, sent, asker)


async def _ok_then(peer: Peer, then: bytes | None) -> None:
    await peer.head()
    await peer.say(OK)
    if then is None:
        await closing(peer)
        return
    await peer.head()
    await peer.say(then)
    await peer.left()


@pytest.mark.parametrize(
    ("then", "error"),
    [
        (None, UpstreamUnreachable),
        (b"nonsense\r\n\r\n", UpstreamUnreachable),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\nX: a\1b\r\n\r\n", UpstreamMalformed),
    ],
    ids=["left", "nonsense", "ambiguous"],
)
async def test_the_troubles_of_a_begun_call_are_told_as_ever(then: bytes | None, error: type[Exception]) -> None:
    """And it is never sent again."""
    async with (
        serving(lambda peer: _ok_then(peer, then)) as server,
        exchange_with(server.origin, Tokens(at_once=True)) as exchange,
    ):
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        with pytest.raises(error):
            await carried_on(exchange, server.origin, sent, asker)
    assert len(server.heads) == 2


async def test_a_server_that_says_nothing_to_a_begun_call() -> None:
    """504, and nobody is told to come again. Its time is set by hand: the exchange's own is minutes."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await silent(peer)

    async with serving(script) as server, exchange_with(server.origin, Tokens(at_once=True)) as exchange:
        asker = Waiting()
        sent = await begun(exchange, server.origin, asker)
        connection = sent.sent.connection
        assert connection is not None
        assert connection._read_timeout == ANSWERED.sock_read
        connection._on_read_timeout()
        with pytest.raises(UpstreamSilent) as caught:
            await carried_on(exchange, server.origin, sent, asker)
    assert (caught.value.status, caught.value.headers()) == (504, {})
    assert "good" not in repr(sent)

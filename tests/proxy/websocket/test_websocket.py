import asyncio
import json
import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from jmap_proxy.proxy.door.door import Door
from jmap_proxy.sandbox import Fault, MailServer, MailSettings
from tests.proxy.support import KEY, Proxy, Tokens, proxy_to, raw_server
from tests.proxy.websocket.upgrades import (
    CHOSEN,
    OFFER,
    SWITCHED,
    shake_hands,
    socket_server,
    switching,
    until,
    websocket_url,
)

CORE = "urn:ietf:params:jmap:core"
WEB = "https://web.example"
TEXT = b"\x81\x02hi"
MASKED_TEXT = b"\x81\x82\0\0\0\0hi"


async def connect(
    proxy: Proxy, *, headers: dict[str, str] | None = None, autoping: bool = True, compress: int = 0
) -> aiohttp.ClientWebSocketResponse:
    """Open a WebSocket by a usual client."""
    return await proxy.client.ws_connect(
        await websocket_url(proxy),
        headers={"Authorization": f"Bearer {KEY}"} | (headers or {}),
        protocols=["jmap"],
        max_msg_size=0,
        autoping=autoping,
        compress=compress,
    )


async def ask(proxy: Proxy, *lines: str, offer: tuple[str, ...] = OFFER) -> tuple[int, dict[str, Any], str]:
    """The status, the problem and the head of the answer to a handshake."""
    reader, _ = await shake_hands(proxy, *lines, offer=offer)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length"))
    return int(head.split()[1]), json.loads(await reader.readexactly(length)), head


def echo_request(size: int = 1) -> dict[str, Any]:
    """A request whose answer is as large as itself."""
    text = os.urandom(8192).hex() * (size >> 14)
    return {"@type": "Request", "id": "r", "using": [CORE], "methodCalls": [["Core/echo", {"x": text}, "c"]]}


async def check_echo(socket: aiohttp.ClientWebSocketResponse, size: int = 1) -> None:
    """See that the connection works."""
    request = echo_request(size)
    await socket.send_json(request)
    answer = await socket.receive_json()
    assert (answer["requestId"], answer["methodResponses"]) == ("r", request["methodCalls"])


@pytest.fixture
async def roomy() -> AsyncIterator[Proxy]:
    """A proxy in front of a mail server that takes large requests."""
    settings = MailSettings(max_size_request=64 << 20)
    async with MailServer({"good": "demo"}.get, settings=settings) as mail, proxy_to(mail.session_url) as proxy:
        yield proxy


@pytest.mark.parametrize("compress", [0, 15])
async def test_messages_of_20_mib_pass_both_ways(roomy: Proxy, compress: int) -> None:
    """Far beyond aiohttp's own limit; compression is between the client and the server."""
    async with await connect(roomy, compress=compress) as socket:
        assert bool(socket.compress) == bool(compress)
        assert socket.protocol == "jmap"
        await check_echo(socket, 20 << 20)
        await check_echo(socket)


async def test_the_session_shows_a_websocket_url(proxy: Proxy) -> None:
    """A local one, with the scheme that RFC 8887 §3.1 asks for."""
    assert (await websocket_url(proxy)).startswith(f"ws{proxy.origin.removeprefix('http')}/o-")


async def test_push_passes(mail: MailServer, proxy: Proxy) -> None:
    """What the server sends unasked arrives as it comes."""
    async with await connect(proxy) as socket:
        await socket.send_json({"@type": "WebSocketPushEnable", "dataTypes": ["Email"]})
        await check_echo(socket)
        mail.push_state()
        assert (await socket.receive_json())["@type"] == "StateChange"


async def test_a_401_at_the_handshake_refreshes_once(proxy: Proxy, mail: MailServer, tokens: Tokens) -> None:
    """The first try is refused, the second one gets the new token."""
    url = await websocket_url(proxy)
    mail.refused_tokens.add("good")
    tokens.calls.clear()
    before = len(mail.requests)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with proxy.client.ws_connect(url, headers=headers, protocols=["jmap"]) as socket:
        await check_echo(socket)
    assert tokens.calls == ["ensure", "replace good"]
    assert [request.token for request in mail.requests[before:]] == ["good", "better"]


async def test_a_second_401_is_told(proxy: Proxy, mail: MailServer) -> None:
    """As a problem of the server's, before the client's connection has become a WebSocket."""
    url = await websocket_url(proxy)
    mail.refuse_all = True
    headers = dict(line.split(": ") for line in OFFER)
    async with proxy.request("GET", f"http{url.removeprefix('ws')}", headers=headers) as response:
        assert response.status == 502
        assert (await response.json(content_type=None))["type"] == "urn:jmap-proxy:error:upstream-refused-token"
        assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize("code", [1000, 1008, 4000])
async def test_the_servers_close_codes_pass(mail: MailServer, proxy: Proxy, code: int) -> None:
    """1008, by which a server ends what an expired token has opened, among them; then the client can come again."""
    for _ in range(2):
        async with await connect(proxy) as socket:
            closing = asyncio.create_task(mail.close_sockets(code))
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, code)
            await closing
        await until(lambda: not mail.sockets)


@pytest.mark.parametrize("code", [1000, 4000])
async def test_the_clients_close_codes_pass(code: int) -> None:
    """With the reason, and the answer to them comes back."""
    closed = asyncio.get_running_loop().create_future()

    async def serve(peer: web.WebSocketResponse) -> None:
        message = await peer.receive()
        closed.set_result((message.type, message.data, message.extra))

    async with socket_server(serve) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        socket = await connect(proxy)
        await socket.close(code=code, message=b"enough")
        assert await closed == (WSMsgType.CLOSE, code, "enough")
        assert socket.close_code == 1000  # the server's


async def test_what_comes_behind_the_peers_close_arrives() -> None:
    """A side that has got a Close frame may finish what it says (RFC 6455 §5.5.1)."""
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x88\x02\x03\xe8")
        got.set_result(await reader.readexactly(len(MASKED_TEXT)))
        writer.write(b"more")

    async with (
        raw_server(switching(serve)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        reader, writer = await shake_hands(proxy)
        await reader.readuntil(b"\x03\xe8")
        writer.write(MASKED_TEXT)
        assert await got == MASKED_TEXT
        assert await reader.readexactly(4) == b"more"


async def test_pings_and_pongs_pass_both_ways() -> None:
    """They are the two ends' own: nobody answers in between."""

    async def serve(peer: web.WebSocketResponse) -> None:
        message = await peer.receive()
        assert (message.type, message.data) == (WSMsgType.PING, b"from the client")
        await peer.pong(message.data)
        await peer.ping(b"from the server")
        message = await peer.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"from the server")
        await peer.send_str("done")
        await peer.receive()

    async with (
        socket_server(serve) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        await connect(proxy, autoping=False) as socket,
    ):
        await socket.ping(b"from the client")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"from the client")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.PING, b"from the server")
        await socket.pong(message.data)
        assert await socket.receive_str() == "done"


async def test_signing_out_ends_websockets(mail: MailServer, proxy: Proxy) -> None:
    """The client is told 1001, the server's connection is closed; other accounts' stay."""
    async with await connect(proxy) as socket:
        proxy.handler.end_streams("bob")
        await check_echo(socket)
        proxy.handler.end_streams("alice")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await until(lambda: not mail.sockets)


async def test_a_shutdown_ends_websockets(mail: MailServer) -> None:
    """At once, whatever patience requests get."""
    async with proxy_to(mail.session_url, patience=3600) as proxy:
        socket = await connect(proxy)
        proxy.handler.end_streams()
        await proxy.listener.close()
        assert (await socket.receive()).data == 1001


async def test_a_client_that_leaves_leaves_nothing_behind(mail: MailServer, proxy: Proxy) -> None:
    """Not with the server, not in the proxy."""
    tasks = len(asyncio.all_tasks())
    socket = await connect(proxy)
    assert mail.sockets == 1
    await socket.close()
    await until(lambda: not mail.sockets)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_only_allowed_web_pages_come_in(mail: MailServer) -> None:
    """Browsers let any page open a WebSocket; the server never gets to see an Origin."""
    door = Door({KEY: "alice"}.get, web_origins=frozenset({WEB}))
    async with proxy_to(mail.session_url, door=door) as proxy:
        before = len(mail.requests) + 1  # the Session
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await connect(proxy, headers={"Origin": "https://evil.example"})
        assert len(mail.requests) == before
        async with await connect(proxy, headers={"Origin": WEB, "Sec-Fetch-Site": "cross-site"}) as socket:
            await check_echo(socket)
        assert "Origin" not in mail.requests[-1].headers


async def test_without_the_local_key_nobody_comes_in(mail: MailServer, proxy: Proxy) -> None:
    """401 with the challenge, as everywhere."""
    url = await websocket_url(proxy)
    before = len(mail.requests)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        await proxy.client.ws_connect(url, protocols=["jmap"])
    assert len(mail.requests) == before


async def test_the_server_gets_a_clean_handshake() -> None:
    """The token once, the client's key, `jmap` alone, and nothing of the client's credentials or origin."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        raw_server(switching(serve, heads)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        offer = (*OFFER[:-1], "Sec-WebSocket-Protocol: bearer.secret, jmap", "Sec-WebSocket-Extensions: x; y=1")
        lines = ("Cookie: a=b", "X-Forwarded-For: 1.2.3.4", "Sec-Fetch-Mode: websocket", "User-Agent: mail/1")
        reader, _ = await shake_hands(proxy, *lines, offer=offer)
        await reader.readuntil(b"\r\n\r\n")
    assert heads[0].startswith(b"GET /ws HTTP/1.1\r\n")
    sent = heads[0].decode().split("\r\n")[1:-2]
    assert sorted(line for line in sent if not line.startswith("Host: ")) == sorted(
        ["Authorization: Bearer good", "User-Agent: mail/1", "Sec-WebSocket-Extensions: x; y=1", *OFFER]
    )


@pytest.mark.parametrize(
    ("offer", "status", "code"),
    [
        ((), 426, "upgrade-needed"),
        (("Connection: Upgrade", "Upgrade: h2c"), 426, "upgrade-needed"),
        ((*OFFER[:2], "Sec-WebSocket-Version: 8", *OFFER[3:]), 426, "upgrade-needed"),
        (OFFER[:-1], 400, "handshake-malformed"),
        ((*OFFER, "Sec-WebSocket-Key: another"), 400, "handshake-malformed"),
    ],
)
async def test_an_unsound_handshake_goes_no_further(
    mail: MailServer, proxy: Proxy, offer: tuple[str, ...], status: int, code: str
) -> None:
    """The client is told what is wrong; the server sees nothing."""
    before = len(mail.requests) + 1  # the Session
    answered, problem, head = await ask(proxy, offer=offer)
    assert (answered, problem["type"].rpartition(":")[2]) == (status, code)
    assert problem["hint"]
    assert len(mail.requests) == before
    assert ("Sec-WebSocket-Version: 13\r\n" in head and "Upgrade: websocket\r\n" in head) == (status == 426)


@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_another_answer_than_101_is_relayed(mail: MailServer, proxy: Proxy, status: HTTPStatus) -> None:
    """Like any other, and the connection does not become a WebSocket."""
    mail.faults.add("websocket", Fault(status=status, body=b'{"a": 1}', headers={"Retry-After": "7"}))
    answered, body, head = await ask(proxy)
    assert (answered, body) == (status, {"a": 1})
    assert "Retry-After: 7\r\n" in head
    assert "Upgrade:" not in head


def answer_with(*lines: str) -> bytes:
    """A 101 with other fields."""
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


ACCEPT = SWITCHED.decode().split("\r\n")[-3]


@pytest.mark.parametrize(
    "answer",
    [
        answer_with(),
        answer_with(*CHOSEN),
        answer_with(*CHOSEN, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        answer_with(*CHOSEN[:2], ACCEPT),
        answer_with(*CHOSEN[:2], "Sec-WebSocket-Protocol: other", ACCEPT),
        answer_with("Upgrade: h2c", *CHOSEN[1:], ACCEPT),
        answer_with(*CHOSEN, ACCEPT, "Sec-WebSocket-Extensions: permessage-deflate"),
        answer_with(*CHOSEN, ACCEPT, "Content-Length: 2"),
        answer_with(*CHOSEN, ACCEPT, "Transfer-Encoding: chunked"),
        b"hi\r\n" + SWITCHED,
        b"HTTP/1.1 100 Continue\r\n\r\nhi" + SWITCHED,
        SWITCHED.replace(b"HTTP/1.1 101", b"HTTP/1.1 1O1"),
    ],
)
async def test_a_lying_server_is_not_believed(answer: bytes) -> None:
    """The client gets a 502 and nothing else of the server's; nothing that it has sent behind reaches the server."""
    received = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(TEXT)
        received.set_result(await reader.read())

    async with raw_server(switching(serve, answer=answer)) as server:
        async with proxy_to(f"{server}/.well-known/jmap") as proxy:
            reader, _ = await shake_hands(proxy, behind=MASKED_TEXT)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.split()[1] == b"502"
            assert json.loads(body)["status"] == 502
        assert await received == b""


async def test_a_provisional_answer_is_no_answer() -> None:
    """Cyrus sends 102 before its answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(TEXT)
        await reader.read()

    early = b"HTTP/1.1 102 Processing\r\n\r\n" + SWITCHED
    async with (
        raw_server(switching(serve, answer=early)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        reader, _ = await shake_hands(proxy)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(TEXT)) == TEXT


@pytest.mark.parametrize(("method", "name"), [("POST", "apiUrl"), ("POST", "uploadUrl"), ("GET", "eventSourceUrl")])
async def test_a_101_to_another_request_is_refused(method: str, name: str) -> None:
    """Even with all that belongs to a handshake, the client's connection stays what it is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with (
        raw_server(switching(serve)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        path = "/" + (await proxy.url(name)).split("/", 3)[3]
        body = ["Content-Length: 2"] if method == "POST" else []
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {KEY}", *OFFER, *body]
        reader, _ = await proxy.raw(*lines, body=b"{}" if body else b"")
        answer = await reader.read()
    assert answer.split()[1] == b"502"
    assert answer.count(b"HTTP/1.1") == 1


REQUEST_BEHIND = b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_request_behind_an_accepted_handshake_is_just_bytes() -> None:
    """They go to the WebSocket that the server has opened, and nowhere else."""
    heads: list[bytes] = []
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.readexactly(len(REQUEST_BEHIND)))

    async with (
        raw_server(switching(serve, heads)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        reader, _ = await shake_hands(proxy, behind=REQUEST_BEHIND)
        answer = await reader.read()
        assert await got == REQUEST_BEHIND
    assert answer.count(b"HTTP/1.1") == 1
    assert len(heads) == 1
    assert heads[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize("sound", [True, False])
async def test_a_request_behind_a_declined_handshake_is_dropped(mail: MailServer, proxy: Proxy, sound: bool) -> None:
    """The client does not know yet which of the two protocols it speaks, so its connection ends with the answer."""
    mail.faults.add("websocket", Fault(status=403, body=b"no"))
    offer = OFFER if sound else OFFER[:-1]
    path = "/" + (await proxy.url("apiUrl")).split("/", 3)[3]
    behind = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 2\r\n\r\n{{}}"
    reader, _ = await shake_hands(proxy, offer=offer, behind=behind.encode())
    answer = await reader.read()
    assert answer.split()[1] == (b"403" if sound else b"400")
    assert answer.count(b"HTTP/1.1") == 1
    assert not [request for request in mail.requests if request.method == "POST"]


async def test_an_unreachable_server_is_told() -> None:
    """It breaks off in the middle of the handshake: 502, and the client's connection stays HTTP."""

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    async with (
        raw_server(switching(serve, answer=SWITCHED[:20])) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        status, problem, _ = await ask(proxy)
    assert (status, problem["type"]) == (502, "urn:jmap-proxy:error:upstream-unreachable")


async def test_a_server_that_does_not_answer_the_handshake_is_told() -> None:
    """503 in time, and the connection to the server is given up."""
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    async with (
        raw_server(switching(serve, answer=b"")) as server,
        proxy_to(f"{server}/.well-known/jmap", first_byte=0.3) as proxy,
    ):
        status, problem, head = await ask(proxy)
        await left.wait()
    assert (status, problem["type"]) == (503, "urn:jmap-proxy:error:upstream-slow")
    assert "Retry-After: " in head


async def test_a_client_that_leaves_during_the_handshake_ends_it() -> None:
    """The server is not kept waiting for a client that is not there any more."""
    heads: list[bytes] = []
    asked, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        left.set()

    async with (
        raw_server(switching(serve, heads, answer=b"")) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
    ):
        await websocket_url(proxy)
        tasks = len(asyncio.all_tasks())
        _, writer = await shake_hands(proxy)
        await asked.wait()
        writer.close()
        await left.wait()
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
    assert len(heads) == 1

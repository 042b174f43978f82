import asyncio
import json
from typing import Any

import pytest

from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import Proxy, Tokens, answering, proxy_to, raw_server, scripted

ECHO = json.dumps({"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": "é"}, "0"]]}).encode()
JSON = {"Content-Type": "application/json"}


async def api(proxy: Proxy) -> tuple[int, Any, Any]:
    """One API request: status, JSON, header."""
    async with proxy.request("POST", await proxy.url("apiUrl"), data=ECHO, headers=JSON) as response:
        return response.status, json.loads(await response.read()), response.headers


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

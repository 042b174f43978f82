"""What of a request reaches the server, what of its answer the client, and how long a client waits for it."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import AUTH, KEY, Proxy, answering, proxy_to, raw_server, scripted

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
OWN = ["authorization", "content-length", "host"]
OTHERS = ["accept", "cache-control", "date", "x-forwarded-user", "x-kept"]
FIELDS = st.lists(st.tuples(st.sampled_from(OTHERS), st.sampled_from(["evil", "1", "chunked"])))
CONNECTION = st.lists(st.sampled_from(OWN + OTHERS), min_size=1).map(", ".join)


async def _sent_on(fields: list[tuple[str, str]], connection: str) -> tuple[str, list[bytes]]:
    """The server's host and port, and the lines of the head that the server gets when a client sends these fields."""
    heads: list[bytes] = []
    async with raw_server(answering(EMPTY, heads)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        path = (await proxy.url("apiUrl")).split("/", 3)[3]
        more = [f"{name}: {value}" for name, value in fields]
        lines = ["Host: localhost", AUTH, f"Connection: close, {connection}", "Content-Length: 2", *more]
        reader, _ = await proxy.raw(f"POST /{path} HTTP/1.1", *lines, body=b"{}")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    return server.removeprefix("http://"), heads[-1].lower().strip().split(b"\r\n")


@settings(max_examples=40, deadline=None)
@given(FIELDS, CONNECTION)
def test_there_is_one_authorization_and_one_host_whatever_connection_names(
    fields: list[tuple[str, str]], connection: str
) -> None:
    """Ours, and the length of the body; never the local key; what Connection names and is the client's own is gone."""
    server, lines = asyncio.run(_sent_on(fields, connection))
    named = connection.split(", ")
    for own in (b"authorization: bearer good", b"host: " + server.encode(), b"content-length: 2"):
        assert [line for line in lines if line.startswith(own.partition(b" ")[0])] == [own]
    assert not any(KEY.encode() in line for line in lines)
    names = {line.partition(b":")[0].decode() for line in lines[1:]}
    assert not names & ({"x-forwarded-user", *named} - set(OWN))
    assert names >= {name for name, _ in fields} - {"x-forwarded-user", *named}


@pytest.mark.parametrize("coding", ["gzip, br", "identity", None])
async def test_the_content_codings_are_the_clients_own(coding: str | None) -> None:
    """Nothing is asked for that the client does not understand."""
    heads: list[bytes] = []
    async with raw_server(answering(EMPTY, heads)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        path = (await proxy.url("downloadUrl")).split("/", 3)[3]
        fields = [] if coding is None else [f"Accept-Encoding: {coding}"]
        reader, _ = await proxy.raw(f"GET /{path} HTTP/1.1", "Host: localhost", AUTH, "Connection: close", *fields)
        await reader.read()
    sent = [line for line in heads[-1].decode().split("\r\n") if line.lower().startswith("accept")]
    assert sent == fields


async def test_trailers_stay_behind() -> None:
    """On both ways: nobody has looked at them, and they could be taken for fields of the head."""
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readuntil(b"\r\n\r\n"))
        got.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n")
        writer.write(b"2\r\n{}\r\n0\r\nX-Late: server\r\nSet-Cookie: a=b\r\n\r\n")
        await writer.drain()

    async with raw_server(scripted(serve)) as server, proxy_to(f"{server}/.well-known/jmap") as proxy:
        path = (await proxy.url("uploadUrl")).split("/", 3)[3]
        fields = ("Host: localhost", AUTH, "Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Late")
        body = b"1\r\na\r\n0\r\nX-Late: client\r\nX-User: admin\r\n\r\n"
        reader, _ = await proxy.raw(f"POST /{path} HTTP/1.1", *fields, body=body)
        answer = await reader.read()
    assert answer.endswith(b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    for lost in (b"Late", b"Cookie", b"admin"):
        assert lost not in answer + bytes(got)


async def test_no_cache_mixes_up_accounts() -> None:
    """Every answer varies by who asks, beside what the server says itself; its own word on caching passes."""
    answer = b"HTTP/1.1 200 OK\r\nCache-Control: private, immutable\r\nVary: Accept\r\nContent-Length: 0\r\n\r\n"
    async with (
        raw_server(answering(answer)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request("GET", await proxy.url("downloadUrl")) as response,
    ):
        assert response.headers.getall("Vary") == ["Accept", "Authorization"]
        assert response.headers["Cache-Control"] == "private, immutable"


@pytest.mark.parametrize("status", [413, 429, 503])
async def test_the_servers_own_refusals_pass_with_their_retry_after(
    mail: MailServer, proxy: Proxy, status: int
) -> None:
    """The proxy has nothing to add to them."""
    mail.faults.add("api", Fault(status=status, headers={"Retry-After": "17"}, body=b"{}"))
    async with proxy.request("POST", await proxy.url("apiUrl"), data=b"{}") as response:
        assert (response.status, response.headers["Retry-After"]) == (status, "17")
        assert await response.read() == b"{}"


async def problem(response: Any) -> tuple[int, str | None, str]:
    """Status, Retry-After and type of an error."""
    told = await response.json(content_type=None)
    return response.status, response.headers.get("Retry-After"), told["type"].rpartition(":")[2]


async def test_a_slow_download_is_told_to_come_again(mail: MailServer) -> None:
    """A client gives up after five seconds; what it asks for changes nothing, so that it may ask again."""
    mail.faults.add("download", Fault(hold=asyncio.Event()))
    async with (
        proxy_to(mail.session_url, first_byte=0.5) as proxy,
        proxy.request("GET", await proxy.url("downloadUrl", blobId="msg-0")) as response,
    ):
        assert await problem(response) == (503, "2", "upstream-slow")


async def test_an_api_request_is_not_given_up_while_a_download_is(mail: MailServer) -> None:
    """The server has it, and may be carrying it out."""
    fault = mail.faults.add("api", Fault(hold=asyncio.Event()))
    mail.faults.add("download", Fault(hold=asyncio.Event()))
    async with proxy_to(mail.session_url, first_byte=0.5) as proxy:
        api = asyncio.create_task(_status(proxy, await proxy.url("apiUrl")))
        await fault.entered.wait()
        async with proxy.request("GET", await proxy.url("downloadUrl", blobId="msg-0")) as response:
            assert response.status == 503
        assert fault.hold is not None
        fault.hold.set()
        assert await api == 400  # the server's own word


async def _status(proxy: Proxy, url: str) -> int:
    async with proxy.request("POST", url, data=b"{}", headers={"Content-Type": "application/json"}) as response:
        return int(response.status)


async def test_the_head_of_a_small_answer_is_not_held_back_for_its_end() -> None:
    """A client waits for the first byte; the rest may take as long as it takes."""
    more = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await more.wait()
        writer.write(b"cd")
        await writer.drain()

    async with (
        raw_server(scripted(serve)) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        asyncio.timeout(5),
        proxy.request("POST", await proxy.url("apiUrl"), data=b"{}") as response,
    ):
        assert await response.content.readexactly(2) == b"ab"
        more.set()
        assert await response.content.read() == b"cd"

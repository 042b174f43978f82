"""What an observer is told of the requests, and how an error is found again in the log."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import SignInNeeded
from jmap_proxy.sandbox import Fault
from jmap_proxy.status.traffic import Traffic
from tests.proxy.support import AUTH, Proxy, Tokens, proxy_to, raw_server, scripted
from tests.proxy.websocket.upgrades import shake_hands
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jmap_proxy.sandbox import MailServer

CALL = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {}, "e"]]}


@pytest.fixture
def traffic() -> Traffic:
    """Return what counts the requests."""
    return Traffic(Clock())


@pytest.fixture
async def observed(mail: MailServer, traffic: Traffic) -> AsyncIterator[Proxy]:
    """Give a proxy whose requests are counted."""
    async with proxy_to(mail.session_url, observer=traffic) as proxy:
        yield proxy


@pytest.fixture
def debugging() -> Iterator[None]:
    """Let the area `proxy` tell everything."""
    area = logging.getLogger("jmap_proxy.proxy")
    area.setLevel(logging.DEBUG)
    yield
    area.setLevel(logging.NOTSET)


def counted(traffic: Traffic) -> Counter[tuple[str, int]]:
    """All requests, by kind and status."""
    return Counter(
        {(kind, status): n for kind, tally in traffic.tallies.items() for status, n in tally.statuses.items()}
    )


async def test_each_request_is_counted_once_by_what_it_is_for(observed: Proxy, traffic: Traffic) -> None:
    """Session, API, upload, download; and what is refused, or is under no endpoint, is another one."""
    api, upload = await observed.url("apiUrl"), await observed.url("uploadUrl")
    download = await observed.url("downloadUrl", blobId="msg-0")
    async with observed.request("POST", api, json=CALL) as response:
        assert response.status == 200
    async with observed.request("POST", upload, data=b"x" * 100) as response:
        assert response.status == 201
    for url in (download, download.replace("msg-0", "none")):
        async with observed.request("GET", url) as response:
            await response.read()
    async with observed.request("GET", "/nowhere") as response:
        assert response.status == 404
    async with observed.request("GET", "/.well-known/jmap", headers={"Authorization": "Bearer wrong"}) as response:
        assert response.status == 401
    assert counted(traffic) == {
        ("session", 200): 3,
        ("api", 200): 1,
        ("upload", 201): 1,
        ("download", 200): 1,
        ("download", 404): 1,
        ("other", 404): 1,
        ("other", 401): 1,
    }
    assert [(trouble.account, trouble.code) for trouble in sorted(traffic.troubles(), key=lambda each: each.code)] == [
        ("", "key-refused"),
        ("alice", "not-an-endpoint"),
    ]


async def test_a_stream_is_counted_when_it_begins(observed: Proxy, traffic: Traffic) -> None:
    """Not when it ends; as long as it is open, it is an open one of its kind and account."""
    url = await observed.url("eventSourceUrl", ping="1")
    reader, writer = await observed.raw(f"GET /{url.split('/', 3)[3]} HTTP/1.1", "Host: localhost", AUTH)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert counted(traffic)["events", 200] == 1
    assert observed.handler.open_streams() == {("alice", "events"): 1}
    ws_reader, ws_writer = await shake_hands(observed)
    assert (await ws_reader.readline()).startswith(b"HTTP/1.1 101")
    assert counted(traffic)["websocket", 101] == 1
    assert observed.handler.open_streams() == {("alice", "events"): 1, ("alice", "websocket"): 1}
    observed.handler.end_streams()
    await asyncio.gather(reader.read(), ws_reader.read())
    for each in (writer, ws_writer):
        each.close()
    assert observed.handler.open_streams() == {}
    assert (counted(traffic)["events", 200], counted(traffic)["websocket", 101]) == (1, 1)


async def test_an_answer_that_is_large_is_counted_before_it_has_come(traffic: Traffic) -> None:
    """The latency is that of the first byte, however long the rest takes."""
    rest = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
        await rest.wait()
        writer.write(bytes(50_000))
        await writer.drain()

    async with (
        raw_server(scripted(slowly)) as server,
        proxy_to(f"{server}/.well-known/jmap", observer=traffic) as proxy,
    ):
        url = await proxy.url("downloadUrl", blobId="b")
        async with proxy.request("GET", url) as response:
            assert counted(traffic)["download", 200] == 1
            rest.set()
            assert len(await response.read()) == 100_000
    assert counted(traffic)["download", 200] == 1


async def test_a_client_can_name_the_request_whose_error_it_got(mail: MailServer, traffic: Traffic) -> None:
    """By the `instance` of the problem (RFC 9457 §3.1.5), which is the request id; each request has its own."""
    tokens = Tokens(error=SignInNeeded("alice", "the grant is gone"))
    instances = []
    async with proxy_to(mail.session_url, tokens, observer=traffic) as proxy:
        for _ in range(2):
            async with proxy.request("GET", "/.well-known/jmap?access_token=secret") as response:
                problem = await response.json(content_type=None)
                assert "X-Request-Id" not in response.headers
                instances.append(problem["instance"])
    assert instances[0] != instances[1]
    (trouble,) = traffic.troubles()
    assert instances[1] == f"urn:jmap-proxy:request:{trouble.request_id}"
    assert (trouble.account, trouble.times, trouble.mend) == ("alice", 2, "run: jmap-proxy login alice")
    assert "secret" not in repr(trouble)


async def test_framing_that_is_refused_has_an_instance_too(observed: Proxy) -> None:
    """It is refused before anybody knows whose it is."""
    reader, _ = await observed.raw("POST /x HTTP/1.1", "Host: localhost", AUTH, "Transfer-Encoding: gzip, chunked")
    assert b"urn:jmap-proxy:request:" in await reader.read()


@pytest.mark.usefixtures("debugging")
async def test_a_line_for_each_request_where_that_is_wanted(observed: Proxy) -> None:
    """Kind, status, time and account; no path, no query."""
    with capture_logs() as logs:
        async with observed.request("GET", "/.well-known/jmap?secret") as response:
            assert response.status == 200
    (line,) = logs
    assert line.pop("ms") >= 0
    assert line == {
        "event": "answered",
        "log_level": "debug",
        "kind": "session",
        "status": 200,
        "account": "alice",
    }


async def test_otherwise_there_is_none(observed: Proxy) -> None:
    """A request that goes well leaves no line."""
    with capture_logs() as logs:
        await observed.session()
    assert logs == []


@pytest.mark.parametrize("server", ["", "Cyrus/3"])
async def test_answers_made_here_name_no_library(mail: MailServer, observed: Proxy, server: str) -> None:
    """`jmap-proxy` without a version; the mail server's own answers keep its name."""
    async with observed.request("GET", "/nowhere") as response:
        assert response.headers["Server"] == "jmap-proxy"
    mail.faults.add("api", Fault(status=503, headers={"Server": server} if server else {}))
    async with observed.request("POST", await observed.url("apiUrl"), json=CALL) as response:
        assert response.status == 503
        assert response.headers["Server"] == (server or "jmap-proxy")

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import UpstreamMalformed
from jmap_proxy.sandbox import Fault, MailServer
from tests.proxy.support import SESSION, Proxy, Tokens, proxy_to, raw_server


async def test_a_redirected_session_is_resolved_against_its_final_url(mail: MailServer, proxy: Proxy) -> None:
    """As at Stalwart: 307 to a relative place."""
    mail.settings.well_known = "redirect"
    session = await proxy.session()
    assert session["apiUrl"].endswith("/jmap/api")
    assert [request.raw_path for request in mail.requests] == ["/.well-known/jmap", "/jmap/session"]


async def test_a_misconfigured_server_is_forced_onto_its_origin(mail: MailServer) -> None:
    """As at James: it advertises localhost, and everything works all the same."""
    mail.settings.advertised_origin = "http://localhost"
    async with (
        proxy_to(mail.session_url, rewrite="force") as proxy,
        proxy.request("GET", await proxy.url("downloadUrl", blobId="msg-0")) as response,
    ):
        assert response.status == 200


async def test_shards_are_reached_through_one_origin(mail: MailServer) -> None:
    """As at Fastmail: a second origin gets the token because the account allows it."""
    async with MailServer({"good": "demo"}.get) as shard:
        mail.settings.extra_session = {
            "downloadUrl": f"{shard.base_url}/jmap/download/{{accountId}}/{{blobId}}/{{name}}"
        }
        async with (
            proxy_to(mail.session_url, allowed=(shard.base_url,)) as proxy,
            proxy.request("GET", await proxy.url("downloadUrl", blobId="msg-0")) as response,
        ):
            assert response.status == 200
        assert [request.token for request in shard.requests] == ["good"]
        async with proxy_to(mail.session_url) as proxy, proxy.request("GET", "/.well-known/jmap") as response:
            assert (response.status, "downloadUrl" in await response.text()) == (502, True)


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status) for status in (403, 404, 500)),
        Fault(garbage=True),
        Fault(headers={"Content-Encoding": "gzip"}),
        Fault(status=302, headers={"Location": "ftp://x"}),
        Fault(status=302, headers={"Location": "/.well-known/jmap"}, count=-1),
        Fault(body=b" " * ((8 << 20) + 1)),
    ],
)
async def test_a_session_that_cannot_be_had_is_a_clear_502(mail: MailServer, proxy: Proxy, fault: Fault) -> None:
    """Refusals, garbage, compression, bad and endless redirects, endless bodies; never without end."""
    mail.faults.add("session", fault)
    async with proxy.request("GET", "/.well-known/jmap") as response:
        assert (response.status, response.headers.get("Retry-After")) == (502, None)
        assert (await response.json(content_type=None))["type"] == "urn:jmap-proxy:error:upstream-malformed"
    assert len(mail.requests) <= 6


async def test_a_session_that_breaks_off_is_told() -> None:
    """Half a Session is none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    async with (
        raw_server(serve) as server,
        proxy_to(f"{server}/s") as proxy,
        proxy.request("GET", "/.well-known/jmap") as response,
    ):
        assert (response.status, "broke off" in await response.text()) == (502, True)


async def test_the_first_session_is_fetched_once_for_all(mail: MailServer, proxy: Proxy) -> None:
    """Requests that come before it share the fetch, its failure too, and one that leaves hurts nobody."""
    hold = asyncio.Event()
    fault = mail.faults.add("session", Fault(status=503, hold=hold))
    asked = [asyncio.create_task(_status(proxy)) for _ in range(5)]
    await fault.entered.wait()
    asked.pop(0).cancel()
    hold.set()
    assert await asyncio.gather(*asked) == [503] * 4
    assert len(mail.requests) <= 2
    assert await _status(proxy) == 404


async def test_sharing_a_failure_shares_no_exception(mail: MailServer, proxy: Proxy) -> None:
    """One object raised many times would collect the tracebacks of all."""
    mail.faults.add("session", Fault(status=500))
    first, second = await asyncio.gather(*(proxy.sessions.known() for _ in range(2)), return_exceptions=True)
    assert isinstance(first, UpstreamMalformed)
    assert isinstance(second, UpstreamMalformed)
    assert first is not second
    assert len(mail.requests) == 1


async def test_closing_ends_the_first_fetch(mail: MailServer, proxy: Proxy) -> None:
    """It would outlive what it needs otherwise; those who wait for it are cancelled, and closing twice is no error."""
    fault = mail.faults.add("session", Fault(hold=asyncio.Event()))
    waiting = asyncio.create_task(proxy.sessions.known())
    await fault.entered.wait()
    await proxy.sessions.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("first Session")]
    await proxy.sessions.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("told", "passed_on"),
    [
        (None, "5"),
        ("17", "17"),
        ("999999", "600"),
        ("9" * 5000, "5"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "5"),
        ("0", "1"),
    ],
)
async def test_a_busy_server_says_when_to_come_again(
    mail: MailServer, proxy: Proxy, status: int, told: str | None, passed_on: str
) -> None:
    """503 with the server's own Retry-After in seconds, within reason, else a short one."""
    mail.faults.add("session", Fault(status=status, headers={"Retry-After": told} if told else {}))
    async with proxy.request("GET", "/.well-known/jmap") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, passed_on)
        assert (await response.json(content_type=None))["hint"]


async def _status(proxy: Proxy) -> int:
    async with proxy.request("GET", "/o-0/x") as response:
        return int(response.status)


async def test_a_dropped_capability_is_logged_once(tokens: Tokens) -> None:
    """Not with every fetch."""
    foreign = {"com:linagora:params:downloadAll": {"endpoint": "https://elsewhere.example/all"}}
    session = json.dumps({**SESSION, "capabilities": foreign}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(session) + session)
        await writer.drain()

    with capture_logs() as logs:
        async with raw_server(serve) as server, proxy_to(f"{server}/s", tokens) as proxy:
            await proxy.session()
            await proxy.session()
    assert [line["event"] for line in logs] == ["capability left out of the Session"]

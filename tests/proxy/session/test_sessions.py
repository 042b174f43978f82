import asyncio
import json

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import UpstreamMalformed
from jmap_proxy.sandbox import Fault, MailServer
from jmap_proxy.sandbox.shapes import twake
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


async def test_a_forced_server_is_followed_below_its_mount() -> None:
    """As at James behind a gateway: it redirects to where it believes its Session to be."""
    async with (
        MailServer({"good": "demo"}.get, settings=twake()) as mail,
        proxy_to(mail.session_url, rewrite="force") as proxy,
    ):
        session = await proxy.session()
        assert [request.raw_path for request in mail.requests] == ["/oidc/.well-known/jmap", "/oidc/jmap/session"]
        assert session["apiUrl"].endswith("/oidc/jmap")


async def test_a_redirect_to_a_foreign_origin_is_told_and_not_followed(mail: MailServer, proxy: Proxy) -> None:
    """The error names it, and does not suggest to allow what is on this machine."""
    async with MailServer({"good": "demo"}.get) as other:
        mail.faults.add("session", Fault(status=302, headers={"Location": other.session_url}))
        async with proxy.request("GET", "/.well-known/jmap") as response:
            problem = await response.json(content_type=None)
        assert (response.status, problem["type"]) == (502, "urn:jmap-proxy:error:upstream-origin-refused")
        assert other.base_url in problem["detail"]
        assert "upstream_origins" not in problem["hint"]
        assert other.requests == []


async def test_a_session_of_nobody_is_passed_on(mail: MailServer, proxy: Proxy) -> None:
    """That it has no accounts is the server's word; the token was shown."""
    mail.settings.extra_session = {"accounts": {}, "primaryAccounts": {}, "username": ""}
    assert (await proxy.session())["accounts"] == {}
    assert mail.requests[0].token == "good"


async def test_a_session_of_thousands_of_accounts(mail: MailServer, proxy: Proxy) -> None:
    """It is read beside the event loop, with the same result."""
    own = {"accountCapabilities": {"urn:ietf:params:jmap:blob2": {"uploadUrl": "/jmap/upload2/{accountId}/"}}}
    mail.settings.extra_session = {"accounts": {f"account-{number}": own for number in range(5000)}}
    accounts = (await proxy.session())["accounts"]
    assert len(accounts) == 5000
    url = accounts["account-4999"]["accountCapabilities"]["urn:ietf:params:jmap:blob2"]["uploadUrl"]
    assert url.startswith(f"{proxy.origin}/o-")


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


async def test_closing_ends_a_fetch(mail: MailServer, proxy: Proxy) -> None:
    """It would outlive what it needs otherwise; those who wait for it are cancelled, and closing twice is no error."""
    fault = mail.faults.add("session", Fault(hold=asyncio.Event()))
    waiting = asyncio.create_task(proxy.sessions.known())
    await fault.entered.wait()
    await proxy.sessions.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("Session of")]
    await proxy.sessions.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("told", "passed_on"),
    [
        (None, "5"),
        ("17", "17"),
        ("999999", "600"),
        ("soon", "5"),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "1"),
        ("Wed, 21 Oct 2915 07:28:00 GMT", "600"),
        ("0", "1"),
    ],
)
async def test_a_busy_server_says_when_to_come_again(
    mail: MailServer, proxy: Proxy, status: int, told: str | None, passed_on: str
) -> None:
    """503 with the server's own Retry-After, be it seconds or a date, within reason; else with a short one."""
    mail.faults.add("session", Fault(status=status, headers={"Retry-After": told} if told else {}))
    async with proxy.request("GET", "/.well-known/jmap") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, passed_on)
        assert (await response.json(content_type=None))["hint"]


async def _status(proxy: Proxy) -> int:
    async with proxy.request("GET", "/o-0/x") as response:
        return int(response.status)


async def test_a_slow_server_stays_usable(mail: MailServer) -> None:
    """503 with Retry-After when it takes long; the client that comes again gets the Session of the same fetch."""
    fault = mail.faults.add("session", Fault(hold=asyncio.Event()))
    async with proxy_to(mail.session_url, first_byte=0.3) as proxy:
        for _ in range(2):
            async with proxy.request("GET", "/.well-known/jmap") as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "2")
                problem = await response.json(content_type=None)
                assert problem["type"] == "urn:jmap-proxy:error:upstream-slow"
                assert "limits.first_byte" in problem["hint"]
        assert fault.hold is not None
        fault.hold.set()
        assert (await proxy.session())["username"]
        assert len(mail.requests) == 1
        await proxy.session()
        assert len(mail.requests) == 2


async def test_each_accept_gets_its_own_session(mail: MailServer, proxy: Proxy) -> None:
    """James answers by the version that Accept names; those who ask in the same way share a fetch."""
    fault = mail.faults.add("session", Fault(hold=asyncio.Event(), count=-1))
    asked = [
        asyncio.create_task(proxy.sessions.fetch(accept))
        for accept in ("application/json;jmapVersion=rfc-8621", "application/json", "application/json")
    ]
    await fault.entered.wait()
    assert fault.hold is not None
    fault.hold.set()
    await asyncio.gather(*asked)
    assert sorted(request.headers["Accept"] for request in mail.requests) == [
        "application/json",
        "application/json;jmapVersion=rfc-8621",
    ]


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

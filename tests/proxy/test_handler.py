import asyncio
import base64
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from jmap_proxy.errors import SignInNeeded, TokenDelayed
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.forwarding import Bounds
from jmap_proxy.sandbox import MailServer
from tests.proxy.support import AUTH, KEY, Proxy, Tokens, answering, proxy_to, raw_server

BASIC = "Authorization: Basic YW55Om5v"
HOST = "Host: localhost"


async def exchange(proxy: Proxy, *lines: str, body: bytes = b"") -> tuple[str, dict[str, str], bytes]:
    """Send a request that asks to close; return status line, header and body."""
    reader, writer = await proxy.raw(*lines, "Connection: close", body=body)
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *fields = head.decode("latin-1").split("\r\n")
    return status, {field.partition(":")[0].lower(): field.partition(": ")[2] for field in fields}, rest


REFUSED = [
    (421, ("Host: evil.com", AUTH)),
    (421, ("Host: localhost.evil.com", AUTH)),
    (403, (HOST, AUTH, "Origin: https://evil.com")),
    (403, (HOST, AUTH, "Origin: null")),
    (403, (HOST, AUTH, "Origin: http://localhost:3000", "Origin: http://localhost:3000")),
    (403, (HOST, AUTH, "Sec-Fetch-Site: cross-site")),
    (403, (HOST, AUTH, "Sec-Fetch-Site: same-site")),
    (403, (HOST, AUTH, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate")),
    (421, ("Host: 0.0.0.0", AUTH)),
    (401, (HOST,)),
    (401, (HOST, "Authorization: Bearer wrong")),
    (401, (HOST, BASIC)),
    (401, (HOST, "Authorization: Bearer orphan")),
]


@pytest.mark.parametrize("refusal", REFUSED)
@pytest.mark.parametrize("path", ["/.well-known/jmap", "/o-0/api"])
async def test_who_may_not_come_in_moves_nothing(
    proxy: Proxy, mail: MailServer, tokens: Tokens, path: str, refusal: tuple[int, tuple[str, ...]]
) -> None:
    """Refused with problem+json and a hint; nothing is forwarded and the tokens are untouched."""
    status, fields = refusal
    line, header, body = await exchange(proxy, f"GET {path} HTTP/1.1", *fields)
    assert line.split()[1] == str(status)
    assert header["content-type"] == "application/problem+json"
    assert json.loads(body)["hint"]
    assert header.get("www-authenticate", "Basic").startswith("Basic")
    assert ("www-authenticate" in header) is (status == 401)
    assert (mail.requests, tokens.calls) == ([], [])


@pytest.mark.parametrize("fields", [(AUTH,), (HOST, HOST, AUTH), (HOST, AUTH, AUTH)])
async def test_a_host_that_is_missing_and_doubled_fields_are_refused(
    proxy: Proxy, mail: MailServer, fields: tuple[str, ...]
) -> None:
    """No Host, two Hosts or two Authorizations get a 4xx, whoever notices first, and move nothing."""
    line, _, _ = await exchange(proxy, "GET /.well-known/jmap HTTP/1.1", *fields)
    assert line.split()[1][0] == "4"
    assert mail.requests == []


@pytest.mark.parametrize("user", ["", "alice", "any@example.com"])
async def test_basic_with_any_user_name_comes_in(proxy: Proxy, user: str) -> None:
    """The password is the local key."""
    encoded = base64.b64encode(f"{user}:{KEY}".encode()).decode()
    line, _, _ = await exchange(proxy, "GET /.well-known/jmap HTTP/1.1", HOST, f"Authorization: Basic {encoded}")
    assert line == "HTTP/1.1 200 OK"


async def test_an_open_account_needs_no_key_but_a_good_host(mail: MailServer) -> None:
    """With local_auth none the Host and Origin checks stay."""
    async with proxy_to(mail.session_url, door=Door(lambda _: None, open_account="alice")) as proxy:
        assert (await exchange(proxy, "GET /.well-known/jmap HTTP/1.1", HOST))[0] == "HTTP/1.1 200 OK"
        assert "421" in (await exchange(proxy, "GET /.well-known/jmap HTTP/1.1", "Host: evil.com"))[0]
        assert "403" in (await exchange(proxy, "GET /.well-known/jmap HTTP/1.1", HOST, "Origin: null"))[0]


@pytest.mark.parametrize("path", ["/.well-known/jmap", "/.well-known/jmap/", "/.well-known/jmap?x"])
@pytest.mark.parametrize("absolute", [True, False])
async def test_the_session_is_local_and_uncached(proxy: Proxy, mail: MailServer, path: str, absolute: bool) -> None:
    """200 at once, no-store, all URLs on the scheme, host and port that the client used."""
    mail.settings.absolute_urls = absolute
    _, header, body = await exchange(proxy, f"GET {path} HTTP/1.1", HOST, AUTH)
    assert "no-store" in header["cache-control"]
    session = json.loads(body)
    for field in ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl"):
        assert session[field].startswith(f"http://localhost:{proxy.port}/o-")
    assert mail.base_url not in body.decode()


async def test_head_and_other_methods_on_the_session(proxy: Proxy) -> None:
    """HEAD has the header alone; POST is refused with Allow."""
    line, header, body = await exchange(proxy, "HEAD /.well-known/jmap HTTP/1.1", HOST, AUTH)
    assert (line, body) == ("HTTP/1.1 200 OK", b"")
    assert int(header["content-length"]) > 100
    line, header, _ = await exchange(proxy, "POST /.well-known/jmap HTTP/1.1", HOST, AUTH)
    assert (line.split()[1], header["allow"]) == ("405", "GET, HEAD")


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://localhost/.well-known/jmap", 400), ("/x/../.well-known/jmap", 400), ("/x/%2e%2e/y", 400), ("/x", 404)],
)
async def test_ambiguous_and_unknown_paths_are_refused(proxy: Proxy, target: str, status: int) -> None:
    """Absolute form, dot segments, paths under no endpoint."""
    line, _, body = await exchange(proxy, f"GET {target} HTTP/1.1", HOST, AUTH)
    assert line.split()[1] == str(status)
    assert json.loads(body)["hint"]


async def test_nothing_of_the_client_misleads_the_server(proxy: Proxy, mail: MailServer) -> None:
    """Its credentials, cookies and claims stay here; upstream gets its own Host and exactly one Authorization."""
    path = "/" + (await proxy.url("downloadUrl", blobId="msg-0", name="a%2Fb//%2A{x}")).split("/", 3)[3]
    lies = ("Cookie: a=b", "X-Forwarded-For: 1", "X_User: root", "X-User: root", "Connection: x-secret", "X-Secret: 1")
    line, _, _ = await exchange(proxy, f"GET {path} HTTP/1.1", HOST, AUTH, *lies, "Accept: text/x")
    assert line == "HTTP/1.1 200 OK"
    seen = mail.requests[-1]
    assert seen.raw_path == "/" + path.split("/", 2)[2]
    assert {name.lower(): value for name, value in seen.headers.items()} == {
        "host": mail.base_url.removeprefix("http://"),
        "accept": "text/x",
        "authorization": "Bearer good",
    }
    assert len(seen.headers.getall("Authorization")) == 1


async def test_nothing_of_the_servers_own_host_reaches_the_client() -> None:
    """Challenges, cookies, Alt-Svc, HSTS and CORS fields are left out, end-to-end fields stay."""
    own = b"Set-Cookie: a=b\r\nAlt-Svc: h2c\r\nStrict-Transport-Security: max-age=1\r\nWWW-Authenticate: Bearer\r\n"
    own += b"Access-Control-Allow-Origin: *\r\nConnection: X-Hop\r\nX-Hop: 1\r\nETag: x\r\n"
    async with (
        raw_server(answering(b"HTTP/1.1 403 No\r\n" + own + b"Content-Length: 2\r\n\r\nno")) as server,
        proxy_to(f"{server}/.well-known/jmap") as proxy,
        proxy.request("POST", await proxy.url("apiUrl")) as r,
    ):
        assert (r.status, await r.read(), r.headers["ETag"]) == (403, b"no", "x")
        gone = {"set-cookie", "alt-svc", "strict-transport-security", "www-authenticate", "x-hop"}
        assert not {name.lower() for name in r.headers} & (gone | {"access-control-allow-origin", "connection"})


@pytest.mark.parametrize(
    ("error", "retry"),
    [(SignInNeeded("alice", "gone"), None), (TokenDelayed("slow", hint="wait", retry_after=7), "7")],
)
async def test_no_request_leaves_without_a_token(mail: MailServer, error: Any, retry: str | None) -> None:
    """503 with a hint, and with Retry-After where it mends itself; the server sees nothing."""
    async with (
        proxy_to(mail.session_url, Tokens(error=error)) as proxy,
        proxy.request("GET", "/.well-known/jmap") as response,
    ):
        assert (response.status, response.headers.get("Retry-After")) == (503, retry)
        assert (await response.json(content_type=None))["hint"]
    assert mail.requests == []


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("expect", [False, True])
async def test_an_api_body_over_the_limit_is_a_jmap_error(
    proxy: Proxy, mail: MailServer, chunked: bool, expect: bool
) -> None:
    """413 with the limit's name, declared or not; the server sees nothing of it."""
    mail.settings.max_size_request = 10
    path = "/" + (await proxy.url("apiUrl")).split("/", 3)[3]
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
    body = b"b\r\n01234567890\r\n0\r\n\r\n" if chunked else b"01234567890"
    more = ["Expect: 100-continue"] if expect else []
    reader, writer = await proxy.raw(
        f"POST {path} HTTP/1.1", HOST, AUTH, framing, "Connection: close", *more, body=body
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") is (expect and chunked)
    problem = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    assert (problem["type"], problem["limit"]) == ("urn:ietf:params:jmap:error:limit", "maxSizeRequest")
    assert b" 413 " in answer
    assert [request.raw_path for request in mail.requests] == ["/.well-known/jmap"]


async def test_an_unforeseen_error_gets_an_answer(mail: MailServer) -> None:
    """500 as problem+json; the reason is in the log only."""

    def broken(_key: str) -> str:
        raise RuntimeError("inner secret")

    async with (
        proxy_to(mail.session_url, door=Door(broken)) as proxy,
        proxy.request("GET", "/.well-known/jmap") as response,
    ):
        assert response.status == 500
        assert "inner secret" not in await response.text()


async def test_the_log_tells_refusals_from_failures(mail: MailServer) -> None:
    """What a client may not do is information, what it could not get is a warning."""
    async with proxy_to(mail.session_url, Tokens(error=SignInNeeded("alice", "gone"))) as proxy:
        with capture_logs() as logs:
            await exchange(proxy, "GET /.well-known/jmap?secret HTTP/1.1", HOST)
            await exchange(proxy, "GET /.well-known/jmap?secret HTTP/1.1", HOST, AUTH)
    assert [(line["event"], line["log_level"], line["code"], line["path"]) for line in logs] == [
        ("refused", "info", "key-refused", "/.well-known/jmap"),
        ("request failed", "warning", "sign-in-needed", "/.well-known/jmap"),
    ]


@pytest.mark.parametrize("fields", [(HOST, AUTH), (HOST,), ("Host: evil.com", AUTH)])
async def test_an_absolute_target_is_not_logged(proxy: Proxy, fields: tuple[str, ...]) -> None:
    """It can hold a user's password, whichever check refuses it."""
    with capture_logs() as logs:
        await exchange(proxy, "GET http://user:secret@localhost/x HTTP/1.1", *fields)
    assert len(logs) == 1
    assert "secret" not in str(logs)


async def test_a_bad_path_is_not_logged(proxy: Proxy) -> None:
    """Who sends one may mean anything by it."""
    with capture_logs() as logs:
        await exchange(proxy, "GET /x/../secret HTTP/1.1", HOST, AUTH)
    assert [(line["code"], "path" in line) for line in logs] == [("bad-path", False)]


async def test_a_client_that_stops_in_the_middle_of_a_request_is_told(mail: MailServer) -> None:
    """408 and the end of the connection; the server sees nothing of the request."""
    async with proxy_to(mail.session_url, bounds=Bounds(body_idle=0.05)) as proxy:
        path = "/" + (await proxy.url("apiUrl")).split("/", 3)[3]
        reader, _ = await proxy.raw(f"POST {path} HTTP/1.1", HOST, AUTH, "Content-Length: 9", body=b"abc")
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    assert [request.method for request in mail.requests] == ["GET"]

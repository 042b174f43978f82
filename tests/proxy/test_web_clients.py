"""What the handler says to web pages: those of the allowed origin, and the others."""

import json
from collections.abc import AsyncIterator

import pytest

from jmap_proxy.errors import TokenDelayed
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.sandbox import MailServer
from tests.proxy.support import KEY, Proxy, Tokens, answering, proxy_to, raw_server

PAGE = "http://localhost:3000"
DOOR = Door({KEY: "alice"}.get, web_origins=frozenset({PAGE}))
FROM_PAGE = {"Origin": PAGE, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
PREFLIGHT = {
    **FROM_PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}
SESSION = "/.well-known/jmap"


@pytest.fixture
async def proxy(mail: MailServer, tokens: Tokens) -> AsyncIterator[Proxy]:
    """Give a proxy that lets the pages of one origin in."""
    async with proxy_to(mail.session_url, tokens, door=DOOR) as running:
        yield running


@pytest.mark.parametrize("path", [SESSION, "/o-0/jmap/api", "/nowhere"])
async def test_a_preflight_needs_no_key_and_tells_nothing(
    proxy: Proxy, mail: MailServer, tokens: Tokens, path: str
) -> None:
    """204 with what the page may send, the same for every path, and nothing is asked upstream for it."""
    async with proxy.client.options(proxy.origin + path, headers=PREFLIGHT) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "Access-Control-Allow-Credentials" not in response.headers
    assert (mail.requests, tokens.calls) == ([], [])


@pytest.mark.parametrize(
    ("status", "path", "marks"),
    [
        (403, SESSION, {"Origin": "https://evil.example"}),
        (403, SESSION, {"Origin": "null"}),
        (403, SESSION, {"Origin": f"{PAGE}.evil.example"}),
        (421, SESSION, {"Host": "evil.example"}),
        (400, "/x/%2e%2e/y", {}),
    ],
)
async def test_a_preflight_that_is_refused(
    proxy: Proxy, mail: MailServer, status: int, path: str, marks: dict[str, str]
) -> None:
    """The Origin, Host and path checks hold for it as for all requests; whoever may not ask is granted nothing."""
    lines = [f"{name}: {value}" for name, value in ({"Host": "localhost"} | PREFLIGHT | marks).items()]
    reader, _ = await proxy.raw(f"OPTIONS {path} HTTP/1.1", *lines, "Connection: close")
    head = (await reader.read()).partition(b"\r\n\r\n")[0]
    assert head.split()[1] == str(status).encode()
    assert b"Access-Control-Allow-Methods" not in head
    assert (b"Access-Control-Allow-Origin" in head) is ("Origin" not in marks)
    assert mail.requests == []


async def test_an_options_that_is_no_preflight_is_a_request_like_others(proxy: Proxy, mail: MailServer) -> None:
    """It needs the key, and no endpoint takes it."""
    url = await proxy.url("apiUrl")
    async with proxy.client.options(url, headers=FROM_PAGE) as response:
        assert response.status == 401
    async with proxy.request("OPTIONS", url, headers=FROM_PAGE) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert [request.method for request in mail.requests] == ["GET"]


async def test_an_allowed_page_can_read_every_answer(proxy: Proxy) -> None:
    """The Session, an API response and a download name its origin, once; caches are told that it matters."""
    api = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": 1}, "c"]]}
    for method, url, body in (
        ("GET", SESSION, None),
        ("POST", await proxy.url("apiUrl"), api),
        ("GET", await proxy.url("downloadUrl", blobId="msg-0"), None),
    ):
        async with proxy.request(method, url, json=body, headers=FROM_PAGE) as response:
            assert response.status == 200
            assert response.headers.getall("Access-Control-Allow-Origin") == [PAGE]
            assert response.headers["Access-Control-Expose-Headers"] == "*"
            assert "Origin" in ", ".join(response.headers.getall("Vary"))


async def test_the_servers_own_vary_and_cors_fields(tokens: Tokens) -> None:
    """Its Vary stays beside ours; what it allows to other pages does not get through."""
    own = b"Vary: Accept-Encoding\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
    async with (
        raw_server(answering(b"HTTP/1.1 200 OK\r\n" + own + b"Content-Length: 0\r\n\r\n")) as server,
        proxy_to(f"{server}{SESSION}", tokens, door=DOOR) as proxy,
        proxy.request("POST", await proxy.url("apiUrl"), headers=FROM_PAGE) as response,
    ):
        assert {"Accept-Encoding", "Origin"} <= set(response.headers.getall("Vary"))
        assert response.headers.getall("Access-Control-Allow-Origin") == [PAGE]
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    ("status", "path", "key"), [(401, SESSION, "wrong"), (404, "/nowhere", KEY), (400, "/x/%2e%2e/y", KEY)]
)
async def test_an_allowed_page_can_read_refusals(proxy: Proxy, status: int, path: str, key: str) -> None:
    """So that it can tell its user what to do."""
    lines = [f"{name}: {value}" for name, value in FROM_PAGE.items()]
    reader, _ = await proxy.raw(
        f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}", *lines, "Connection: close"
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    assert f"Access-Control-Allow-Origin: {PAGE}".encode() in head
    assert json.loads(body)["hint"]


async def test_an_allowed_page_can_read_failures(mail: MailServer) -> None:
    """Also when to come again."""
    tokens = Tokens(error=TokenDelayed("slow", hint="wait", retry_after=7))
    async with (
        proxy_to(mail.session_url, tokens, door=DOOR) as proxy,
        proxy.request("GET", SESSION, headers=FROM_PAGE) as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (503, "7")
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert response.headers["Access-Control-Expose-Headers"] == "*"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3001", f"{PAGE}/"])
async def test_no_other_page_can_read_anything(proxy: Proxy, mail: MailServer, origin: str) -> None:
    """Not even with the right key, not even the refusal."""
    async with proxy.request("GET", SESSION, headers={"Origin": origin}) as response:
        assert response.status == 403
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "no-store" in response.headers["Cache-Control"]
    assert mail.requests == []


@pytest.mark.parametrize(
    ("marks", "basic"),
    [
        ({}, True),
        ({"sec-fetch-mode": "cors"}, True),
        (FROM_PAGE, False),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "no-cors"}, False),
        ({"Upgrade-Insecure-Requests": "1"}, False),
    ],
)
async def test_no_browser_asks_for_a_password(proxy: Proxy, marks: dict[str, str], basic: bool) -> None:
    """It would keep it, and send it with whatever any page asks for; other clients are asked by Basic first."""
    async with proxy.client.get(proxy.origin + SESSION, headers=marks) as response:
        assert response.status == 401
        (challenge,) = response.headers.getall("WWW-Authenticate")
        assert challenge.startswith("Basic ") is basic
        assert 'Bearer realm="jmap-proxy"' in challenge
        assert ("Basic" in challenge) is basic

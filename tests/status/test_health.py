from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from jmap_proxy.errors import OriginRefused
from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.status.health import AdminHandler, Page, readiness
from jmap_proxy.status.traffic import Traffic
from jmap_proxy.tokens.report import State, TokenReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = 1000.0


def report(state: State, expires_at: float | None = NOW + 60) -> TokenReport:
    """An account in that state."""
    return TokenReport(state=state, expires_at=expires_at, last_error="something")


FORM = frozenset({"GET", "POST"})


async def say_hello(request: web.BaseRequest) -> web.Response:
    """Answer a page that was added."""
    if request.method == "POST":
        raise OriginRefused("not from this page", hint="reload it")
    return web.Response(text='{"hello": true}')


class Admin:
    """The admin listener, and what it has to tell."""

    def __init__(self, client: ClientSession) -> None:
        self.reports = {"alice": report(State.OK)}
        self.traffic = Traffic(lambda: NOW)
        self.streams: dict[tuple[str, str], int] = {}
        self.origin = ""
        self._client = client

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, content and header fields of an answer."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._client.request(method, f"{self.origin}{path}", headers=fields) as response:
            content = {} if method == "HEAD" else await response.json(content_type=None)
            return response.status, content, dict(response.headers)


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    """Give an admin listener with one account that is well."""
    async with ClientSession() as client:
        admin = Admin(client)
        handler = AdminHandler(
            lambda: admin.reports, lambda: NOW, admin.traffic, lambda: admin.streams, {"/page": Page(FORM, say_hello)}
        )
        listener = Listener(handler, patience=0.1)
        admin.origin = await listener.open("127.0.0.1", 0)
        yield admin
        await listener.close()


@pytest.mark.parametrize(
    ("state", "expires_at", "ready"),
    [
        (State.OK, NOW + 1, True),
        (State.OK, NOW - 1, True),
        (State.RETRYING, NOW + 1, True),
        (State.RETRYING, NOW, False),
        (State.RETRYING, None, False),
        (State.UNSAVED, NOW + 1, True),
        (State.UNSAVED, NOW - 1, False),
        (State.CLIENT_REFUSED, NOW + 1, True),
        (State.CLIENT_REFUSED, NOW - 1, False),
        (State.NEEDS_LOGIN, NOW + 1, False),
        (State.NEEDS_LOGIN, None, False),
        (State.STORE_ERROR, None, False),
    ],
)
def test_an_account_is_ready_while_it_can_be_used(state: State, expires_at: float | None, ready: bool) -> None:
    """Well, or in passing trouble with a token that still lives; an idle account refreshes when it is asked."""
    assert readiness({"alice": report(state, expires_at)}, NOW)[0] is ready


def test_all_accounts_must_be_ready() -> None:
    """One that is not makes the whole not ready; each is told of."""
    ready, told = readiness({"alice": report(State.OK), "bob": report(State.NEEDS_LOGIN)}, NOW)
    assert not ready
    assert told["status"] == "not ready"
    assert {name: account.state for name, account in told["accounts"].items()} == {
        "alice": State.OK,
        "bob": State.NEEDS_LOGIN,
    }


def test_no_account_is_nothing_to_wait_for() -> None:
    """An empty proxy is ready."""
    assert readiness({}, NOW) == (True, {"status": "ready", "accounts": {}})


async def test_health_is_about_the_process_only(admin: Admin) -> None:
    """/healthz is 200 whatever the accounts do."""
    admin.reports = {"alice": report(State.NEEDS_LOGIN)}
    status, content, headers = await admin.ask("/healthz")
    assert (status, content) == (200, {"status": "ok"})
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_readiness_is_about_the_accounts(admin: Admin) -> None:
    """/readyz is 200 or 503, with the reason."""
    assert (await admin.ask("/readyz"))[0] == 200
    admin.reports = {"alice": report(State.STORE_ERROR)}
    status, content, _ = await admin.ask("/readyz")
    assert (status, content["accounts"]["alice"]["last_error"]) == (503, "something")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_it_takes_no_orders(admin: Admin, path: str) -> None:
    """Only GET and HEAD, and a 405 says so."""
    assert (await admin.ask(path, "HEAD"))[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        status, content, headers = await admin.ask(path, method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert content["type"] == "urn:jmap-proxy:error:method-refused"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/readyz/", "//readyz", "/.well-known/jmap"])
async def test_there_is_nothing_else(admin: Admin, path: str) -> None:
    """Other paths are 404."""
    assert (await admin.ask(path))[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "0.0.0.0", "", "127.0.0.1@evil"])  # noqa: S104
async def test_another_host_is_refused(admin: Admin, host: str) -> None:
    """A page that rebinds its name to this machine learns nothing."""
    status, content, _ = await admin.ask("/readyz", Host=host)
    assert status == 421
    assert "accounts" not in content


async def test_what_is_refused_is_found_in_the_log(admin: Admin) -> None:
    """The client is told an id of its request, and the log why."""
    with capture_logs() as logs:
        _, content, _ = await admin.ask("/readyz", Host="evil.example")
    assert content["instance"].startswith("urn:jmap-proxy:request:")
    assert [(line["event"], line["log_level"], line["code"]) for line in logs] == [("refused", "info", "host-refused")]


async def test_two_hosts_are_refused(admin: Admin) -> None:
    """Which one is meant cannot be told."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(admin.origin.rpartition(":")[2]))
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert b"accounts" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_a_web_page_is_refused(admin: Admin, headers: dict[str, str]) -> None:
    """What a page's script or image asks for is not answered, and a script cannot even read that."""
    status, content, fields = await admin.ask("/readyz", **headers)
    assert (status, "accounts" in content) == (403, False)
    assert not [name for name in fields if name.lower().startswith("access-control-")]
    assert fields["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_a_preflight_is_refused(admin: Admin) -> None:
    """No web client has anything to do here."""
    status, _, fields = await admin.ask(
        "/readyz", "OPTIONS", Origin="http://localhost:3000", Access_Control_Request_Method="GET"
    )
    assert status == 403
    assert not [name for name in fields if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("site", ["none", "same-origin"])
async def test_who_looks_at_it_in_a_browser_sees_it(admin: Admin, site: str) -> None:
    """A typed address, and the same again; the answer runs nothing and is nobody else's."""
    status, _, fields = await admin.ask("/readyz", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")
    assert status == 200
    assert fields["Content-Security-Policy"].startswith("sandbox")


async def test_a_page_that_is_added_has_its_own_methods(admin: Admin) -> None:
    """It obeys the rules of the others, and its errors are told as theirs are."""
    assert (await admin.ask("/page"))[1] == {"hello": True}
    status, content, _ = await admin.ask("/page", "POST")
    assert (status, content["hint"]) == (403, "reload it")
    status, _, headers = await admin.ask("/page", "DELETE")
    assert (status, headers["Allow"]) == (405, "GET, POST")
    assert (await admin.ask("/page", Host="evil.example"))[0] == 421
    assert (await admin.ask("/page", "POST", Origin="https://evil.example"))[0] == 403


async def test_nobody_learns_what_it_is_made_of(admin: Admin) -> None:
    """The Server field names the program, and neither versions nor libraries."""
    assert (await admin.ask("/healthz"))[2]["Server"] == "jmap-proxy"
    assert (await admin.ask("/readyz", Host="evil.example"))[2]["Server"] == "jmap-proxy"


async def test_metrics_are_for_scrapers(admin: Admin) -> None:
    """As text, by the rules of the other pages."""
    admin.traffic.answered("api", 200, 0.1)
    admin.streams = {("alice", "events"): 2}
    async with ClientSession() as client, client.get(f"{admin.origin}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = (await response.text()).splitlines()
    assert 'jmap_proxy_account_state{account="alice",state="ok"} 1.0' in lines
    assert 'jmap_proxy_requests_total{kind="api",status="200"} 1.0' in lines
    assert 'jmap_proxy_open_streams{account="alice",kind="events"} 2.0' in lines

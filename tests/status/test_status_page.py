"""The page as browsers and others ask for it: what is answered to whom, and that only its own forms do anything."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, DummyCookieJar
from structlog.testing import capture_logs

from jmap_proxy.status.page import content_security_policy
from jmap_proxy.status.status_page import FORM, LONGEST_FORM
from jmap_proxy.tokens.report import State
from tests.support.status_page import HOSTILE, SIGN_IN_URL, Shown, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jmap_proxy.status.sign_in_again import SignInAgain

BROWSER = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Visitor:
    """Somebody at the page, by whatever program."""

    def __init__(self, shown: Shown, again: SignInAgain, client: ClientSession) -> None:
        self.shown = shown
        self.again = again
        self.begun: list[str] = []
        self._client = client

    async def ask(
        self, path: str = "/", method: str = "GET", form: object = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and header fields of an answer; redirects are not followed."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.shown.origin}{path}"
        async with self._client.request(method, url, data=form, headers=fields, allow_redirects=False) as response:
            return response.status, await response.text(), dict(response.headers)

    async def form(self, account: str = "alice") -> dict[str, str]:
        """The fields of an account's form, as the page has them."""
        _, text, _ = await self.ask()
        csrf = re.search(r'name="csrf" value="([^"]+)"', text)
        assert csrf is not None
        return {"account": account, "csrf": csrf[1]}

    async def press(self, form: object, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Send a form as a browser does; header fields may be other ones."""
        return await self.ask("/sign-in", "POST", form, **{"Origin": self.shown.origin, **_browser(), **headers})


def _browser() -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in BROWSER.items()}


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    """Give somebody at a page with one account that is well."""
    shown = Shown()
    shown.add("alice", State.OK)
    begun: list[str] = []

    async def flow(account: str, show: Callable[[str], None]) -> str:
        begun.append(account)
        show(SIGN_IN_URL)
        await asyncio.Event().wait()
        raise AssertionError

    async with served(shown, flow) as again, ClientSession(cookie_jar=DummyCookieJar()) as client:
        visitor = Visitor(shown, again, client)
        visitor.begun = begun
        yield visitor


async def test_the_page_is_for_nobody_else(visitor: Visitor) -> None:
    """Neither kept, nor framed, nor read by others; and its own forms are known by their Origin."""
    status, text, headers = await visitor.ask(**_browser())
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == content_security_policy()
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Set-Cookie" not in headers
    assert "alice" in text


async def test_pressing_the_button_leads_back_to_the_page(visitor: Visitor) -> None:
    """Which says where the sign-in goes on; a reload of it sends nothing again."""
    status, _, headers = await visitor.press(await visitor.form())
    assert (status, headers["Location"]) == (303, "/")
    assert visitor.begun == ["alice"]
    _, text, _ = await visitor.ask(**_browser())
    assert "Continue at <bdi>sso.example.com</bdi>" in text


async def test_a_browser_that_marks_nothing_can_use_it(visitor: Visitor) -> None:
    """Older ones send an Origin with a form and no Sec-Fetch-Site; a program may send neither."""
    form = await visitor.form()
    assert (await visitor.ask("/sign-in", "POST", form, Origin=visitor.shown.origin))[0] == 303
    assert (await visitor.ask("/sign-in", "POST", form))[0] == 303


async def test_every_name_of_this_machine_will_do(visitor: Visitor) -> None:
    """The Origin must be that of the very address that the browser shows."""
    port = visitor.shown.origin.rpartition(":")[2]
    form, local = await visitor.form(), f"localhost:{port}"
    assert (await visitor.press(form, Host=local, Origin=f"http://{local}"))[0] == 303
    assert (await visitor.press(form, Host="LOCALHOST:" + port, Origin=f"http://{local}"))[0] == 303
    assert (await visitor.press(form, Host=local))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "localhost.evil.example"},
    ],
)
async def test_another_page_cannot_press_it(visitor: Visitor, headers: dict[str, str]) -> None:
    """Not even with the token: a page of another origin, of another port here, or of a name that was rebound."""
    status, text, fields = await visitor.press(await visitor.form(), **headers)
    assert (status in {403, 421}, visitor.begun) == (True, [])
    assert "csrf" not in text
    assert not [name for name in fields if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"},
    ],
)
async def test_another_page_cannot_read_it(visitor: Visitor, headers: dict[str, str]) -> None:
    """Neither the token nor the accounts."""
    status, text, _ = await visitor.ask(**headers)
    assert status in {403, 421}
    assert "alice" not in text


async def test_other_pages_of_the_listener_take_no_forms(visitor: Visitor) -> None:
    """What says that it comes from the page has nothing to do there."""
    for path in ("/readyz", "/metrics", "/healthz", "/"):
        assert (await visitor.ask(path, "POST", {}, Origin=visitor.shown.origin))[0] == 403
        assert (await visitor.ask(path, "POST", {}))[0] == 405


@pytest.mark.parametrize("csrf", [None, "", "x" * 43, "\udcff"])
async def test_a_form_without_the_token_does_nothing(visitor: Visitor, csrf: str | None) -> None:
    """The answer is the page as it is now, which can be pressed again: the proxy may have been restarted."""
    form = {"account": "alice"} | (
        {} if csrf is None else {"csrf": csrf.encode("utf-8", "surrogateescape").decode("latin-1")}
    )
    status, text, headers = await visitor.press(form)
    assert (status, visitor.begun) == (403, [])
    assert "Nothing was done: the page was out of date; press the button again." in text
    assert headers["Content-Security-Policy"] == content_security_policy()
    assert (await visitor.form())["csrf"] in text


@pytest.mark.parametrize(("account", "told"), [("gone", "not served any more"), ("never", "never signed in")])
async def test_an_account_that_cannot_be_signed_in(visitor: Visitor, account: str, told: str) -> None:
    """It has gone, or was never signed in; the name is not echoed."""
    visitor.shown.add("never", State.NEEDS_LOGIN, generation=0)
    status, text, _ = await visitor.press(await visitor.form(account))
    assert (status, visitor.begun) == (404, [])
    assert told in text
    _, text, _ = await visitor.press(await visitor.form(HOSTILE))
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"account": "alice"}', "application/json"),
        (b"account=alice", "text/plain"),
        (b"a=" + b"x" * LONGEST_FORM, "application/x-www-form-urlencoded"),
        (b"&".join(b"f%d=1" % number for number in range(9)), "application/x-www-form-urlencoded"),
        (b"account=alice", "multipart/form-data; boundary=x"),
    ],
)
async def test_what_is_no_such_form_does_nothing(visitor: Visitor, body: bytes, content_type: str) -> None:
    """A page elsewhere could send some of them without a preflight; neither is a long one read."""
    status, text, _ = await visitor.press(body, Content_Type=content_type)
    assert (status, visitor.begun) == (400, [])
    assert "Nothing was done" in text


async def test_a_form_of_unknown_length_is_not_read(visitor: Visitor) -> None:
    """Chunks have no end that is known."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"account=alice"

    status, _, _ = await visitor.press(chunks(), Content_Type="application/x-www-form-urlencoded")
    assert (status, visitor.begun) == (400, [])


async def test_a_form_that_is_compressed_is_not_read(visitor: Visitor) -> None:
    """It could be of any length."""
    form = gzip.compress(urlencode(await visitor.form()).encode())
    status, _, _ = await visitor.press(form, Content_Type="application/x-www-form-urlencoded", Content_Encoding="gzip")
    assert (status, visitor.begun) == (400, [])


async def test_a_form_that_does_not_come_is_not_waited_for() -> None:
    """Whoever sends half of one."""
    shown = Shown()
    async with served(shown, form_patience=0.05):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(shown.origin.rpartition(":")[2]))
        head = f"Content-Type: {FORM}\r\nContent-Length: 9"
        writer.write(f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\nacc".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await writer.wait_closed()


async def test_a_field_that_comes_twice_does_not_count(visitor: Visitor) -> None:
    """Which one is meant cannot be told."""
    form = await visitor.form()
    assert (await visitor.press([*form.items(), ("account", "bob")]))[0] == 404
    assert (await visitor.press([*form.items(), ("csrf", form["csrf"])]))[0] == 403
    assert visitor.begun == []


async def test_looking_changes_nothing(visitor: Visitor) -> None:
    """GET and HEAD, with whatever query: no sign-in begins, and the next page is the same."""
    csrf = (await visitor.form())["csrf"]
    _, before, _ = await visitor.ask()
    assert (await visitor.ask(method="HEAD"))[0] == 200
    for path in (f"/?account=alice&csrf={csrf}", f"/sign-in?account=alice&csrf={csrf}", "/sign-in"):
        status, _, headers = await visitor.ask(path)
        assert (status, headers.get("Allow")) in {(200, None), (405, "POST")}
    assert (await visitor.ask())[1] == before
    assert visitor.begun == []


async def test_the_token_is_of_this_process(visitor: Visitor) -> None:
    """Another one draws another; it is never logged."""
    with capture_logs() as logs:
        form = await visitor.form()
        await visitor.press(form)
        await visitor.press(form | {"csrf": "wrong"})
    assert form["csrf"] not in repr(logs)
    async with served(visitor.shown) as _, ClientSession() as client:
        assert (await Visitor(visitor.shown, visitor.again, client).form())["csrf"] != form["csrf"]


async def test_it_follows_what_happens(visitor: Visitor) -> None:
    """Accounts may come, go, and fall ill between two looks."""
    visitor.shown.add("bob", State.NEEDS_LOGIN)
    assert "1 of 2 accounts needs you" in (await visitor.ask())[1]
    del visitor.shown.reports["bob"]
    assert "All is well" in (await visitor.ask())[1]

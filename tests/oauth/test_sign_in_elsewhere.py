from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.sandbox import Fault, browse
from tests.oauth.helpers import Parts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from jmap_proxy.tokens.tokenset import TokenSet
    from tests.support.clock import Clock


async def end_of(session: ClientSession, url: str) -> str:
    """The address at which a browser ends that does not find the loopback listener."""
    async with session.get(url, allow_redirects=False) as response:
        return response.headers["Location"]


class Terminal:
    """A terminal where the user pastes.

    Args:
        session: The browser's.
        lines: What is pasted before the right address; "" is the end of the input.
        ending: What becomes of the right address; None is the end of the input.
    """

    def __init__(
        self,
        session: ClientSession,
        *lines: str,
        ending: Callable[[str], str] | None = lambda address: f"{address}\n",
    ) -> None:
        self.urls: asyncio.Queue[str] = asyncio.Queue()
        self.told: list[str] = []
        self._session = session
        self._lines = list(lines)
        self._ending = ending

    async def read_line(self) -> str:
        """What is pasted next."""
        if self._lines:
            return self._lines.pop(0)
        return "" if self._ending is None else self._ending(await end_of(self._session, await self.urls.get()))


async def paste(parts: Parts, terminal: Terminal, **options: Any) -> TokenSet:
    """Sign in by paste."""
    return await parts.flow.by_paste(
        "alice", terminal.urls.put_nowait, terminal.read_line, tell=terminal.told.append, **options
    )


@pytest.mark.parametrize(
    "ending",
    [
        lambda address: f"  '{address}'\r\n",
        lambda address: f"{urlsplit(address).query}\n",
        lambda address: f"?{urlsplit(address).query}",
        lambda address: address.replace("//127.0.0.1", "//localhost", 1),
    ],
)
async def test_an_address_is_pasted(
    parts: Parts, session: ClientSession, idp: IdentityProvider, ending: Callable[[str], str]
) -> None:
    """Whole or in part; nobody listens where it leads, and the code is bound to it."""
    terminal = Terminal(session, ending=ending)
    tokens = await paste(parts, terminal, login_hint="ann@example.com")
    assert idp.check(tokens.access_token) == "ann@example.com"
    assert (tokens.generation, tokens.subject) == (1, "ann@example.com")
    assert terminal.told == []
    uri = idp.authorize_requests[-1]["redirect_uri"]
    assert idp.token_requests[-1].form["redirect_uri"] == uri
    assert 49152 <= (urlsplit(uri).port or 0) <= 65535
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", urlsplit(uri).port)


async def test_what_is_not_the_address_is_told_and_asked_again(parts: Parts, session: ClientSession) -> None:
    """As often as it takes; an empty line is nothing. What was pasted is not repeated: it can hold a code."""
    wrong = ("what?\n", "\n", "http://127.0.0.1/callback?code=s3cret&state=theirs\n")
    terminal = Terminal(session, *wrong)
    assert (await paste(parts, terminal)).generation == 1
    assert len(terminal.told) == 2
    assert "s3cret" not in "".join(terminal.told)


async def test_the_first_address_is_not_the_last(parts: Parts) -> None:
    """Who pastes the sign-in's own URL is told which one is meant."""
    shown: list[str] = []
    told: list[str] = []

    async def read_line() -> str:
        return "" if told else shown[0]

    with pytest.raises(SignInError, match="the input ended"):
        await parts.flow.by_paste("alice", shown.append, read_line, tell=told.append)
    assert "at which the sign-in begins" in told[0]


async def test_the_end_of_the_input_is_told(parts: Parts, session: ClientSession, idp: IdentityProvider) -> None:
    """Nobody is left to paste anything."""
    with pytest.raises(SignInError, match="the input ended") as caught:
        await paste(parts, Terminal(session, "what?\n", ending=None))
    assert caught.value.hint
    assert idp.token_requests == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"deny": True}, "access_denied"),
        ({"callback_overrides": {"iss": "https://evil.example"}}, "another identity provider"),
    ],
)
async def test_a_refusal_can_be_pasted_too(
    parts: Parts, session: ClientSession, idp: IdentityProvider, settings: dict[str, Any], told: str
) -> None:
    """It ends the sign-in as it would in a browser here."""
    for name, value in settings.items():
        setattr(idp.settings, name, value)
    with pytest.raises(SignInError, match=told):
        await paste(parts, Terminal(session))
    assert idp.token_requests == []


async def test_a_browser_that_is_sent_to_localhost_is_here(parts: Parts, idp: IdentityProvider) -> None:
    """The provider replaced the address by the name; the code is bound to what was asked for."""
    idp.settings.callback_host = "localhost"
    tokens, page = await parts.sign_in()
    assert tokens.generation == 1
    assert "close this tab" in page


async def by_browser_and_paste(
    parts: Parts, terminal: Terminal, browser: Callable[[str], Awaitable[object]] | None = None
) -> TokenSet:
    """Sign in by a browser, with a terminal beside it."""
    visits: list[asyncio.Future[object]] = []

    def show(url: str) -> None:
        terminal.urls.put_nowait(url)
        if browser is not None:
            visits.append(asyncio.ensure_future(browser(url)))

    tokens = await parts.flow.by_browser("alice", show, read_line=terminal.read_line, tell=terminal.told.append)
    await asyncio.gather(*visits)
    return tokens


async def test_a_browser_that_lost_the_port_is_helped_by_paste(
    parts: Parts, session: ClientSession, idp: IdentityProvider
) -> None:
    """As Fastmail may send it: the page fails to load, and its address is pasted; what is not it is told."""
    idp.settings.drop_callback_port = True
    terminal = Terminal(session, "what?\n")
    tokens = await by_browser_and_paste(parts, terminal)
    assert idp.check(tokens.access_token) == "demo"
    assert len(terminal.told) == 1


async def test_who_pastes_nothing_is_waited_for_at_the_browser(parts: Parts, session: ClientSession) -> None:
    """Also where the input has ended."""
    assert (await by_browser_and_paste(parts, Terminal(session, ending=None), browse)).generation == 1


async def test_nobody_reads_the_terminal_once_the_browser_is_back(parts: Parts, idp: IdentityProvider) -> None:
    """The waiting for a line ends with the sign-in."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def read_line() -> str:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    visits: list[asyncio.Task[object]] = []

    async def visit(url: str) -> None:
        await asked.wait()
        await browse(url)

    def show(url: str) -> None:
        visits.append(asyncio.create_task(visit(url)))

    tokens = await parts.flow.by_browser("alice", show, read_line=read_line)
    await asyncio.gather(*visits)
    await ended.wait()
    assert idp.check(tokens.access_token) == "demo"


async def test_where_it_must_be_the_request_is_pushed(
    session: ClientSession, clock: Clock, idp: IdentityProvider
) -> None:
    """The browser brings its name alone; the client proves itself, and nothing of the request is in the URL."""
    idp.settings.require_pushed_authorization_requests = True
    idp.settings.client_secret = "s3cret"
    parts = Parts(session, clock, idp.issuer, client_secret="s3cret", resource="https://mail.example")
    tokens, _ = await parts.sign_in(login_hint="ann@example.com")
    assert idp.check(tokens.access_token) == "ann@example.com"
    (brought,), (pushed,) = idp.authorize_requests, idp.pushed_requests
    assert brought.keys() == {"client_id", "request_uri"}
    assert {"redirect_uri", "state", "code_challenge", "login_hint", "resource", "nonce"} <= pushed.keys()
    assert "client_secret" not in pushed


async def test_where_it_need_not_be_nothing_is_pushed(parts: Parts, idp: IdentityProvider) -> None:
    """One request less that can fail."""
    idp.settings.pushed_authorization_requests = True
    await parts.sign_in()
    assert idp.pushed_requests == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"metadata_overrides": {"pushed_authorization_request_endpoint": None}}, "does not say where"),
        ({"required_resource": "https://other.example"}, "invalid_target"),
        ({"client_id": "other"}, "invalid_client"),
    ],
)
async def test_a_request_that_is_not_taken_ends_the_sign_in(
    parts: Parts, idp: IdentityProvider, settings: dict[str, Any], told: str
) -> None:
    """Before a browser opens."""
    idp.settings.require_pushed_authorization_requests = True
    for name, value in settings.items():
        setattr(idp.settings, name, value)
    with pytest.raises(SignInError, match=told):
        await parts.flow.by_browser("alice", lambda _: pytest.fail("a URL was shown"))


async def test_a_push_that_gets_no_answer_is_the_providers_error(parts: Parts, idp: IdentityProvider) -> None:
    """As with any other request."""
    idp.settings.require_pushed_authorization_requests = True
    idp.faults.add("par", Fault(drop_early=True))
    with pytest.raises(ProviderError):
        await parts.flow.by_browser("alice", lambda _: pytest.fail("a URL was shown"))


def redirect_of(url: str) -> str:
    """Where a sign-in's URL leads back to."""
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


async def test_each_paste_has_an_address_of_its_own(parts: Parts, session: ClientSession) -> None:
    """So that no server that happens to listen there gets them all."""
    seen = set()
    for _ in range(3):
        terminal = Terminal(session, ending=None)
        with pytest.raises(SignInError):
            await paste(parts, terminal)
        seen.add(redirect_of(terminal.urls.get_nowait()))
    assert len(seen) > 1

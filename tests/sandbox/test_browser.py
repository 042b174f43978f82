from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from jmap_proxy.sandbox import browse
from jmap_proxy.sandbox.browser import LostBrowserError
from jmap_proxy.sandbox.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOGIN = """<form action="/consent?x=1" method=post><input name=login><input type=hidden name=h value=1>
<input type=checkbox name=no><input type=checkbox name=yes checked value=on><input type=submit></form>
<input name=outside></p>"""


async def start(_request: web.Request) -> web.Response:
    """Set a cookie and show the login form."""
    response = web.Response(text=LOGIN, content_type="text/html")
    response.set_cookie("seen", "1")
    return response


async def consent(request: web.Request) -> web.Response:
    """Say what came in."""
    form = await request.post()
    return web.Response(text=f"{dict(form)} {request.rel_url.raw_query_string} {request.cookies.get('seen')}")


async def again(request: web.Request) -> web.Response:
    """Redirect with the status that the query names."""
    return web.Response(status=int(request.query["status"]), headers={"Location": request.query["to"]})


async def page(request: web.Request) -> web.Response:
    """Show the HTML that the query names."""
    return web.Response(text=request.query["html"], content_type="text/html")


async def circle(_request: web.Request) -> web.Response:
    """Redirect to itself."""
    return web.Response(status=302, headers={"Location": ""})


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Serve the pages and give the origin."""
    app = web.Application()
    app.router.add_get("/", start)
    app.router.add_route("*", "/consent", consent)
    app.router.add_route("*", "/again", again)
    app.router.add_get("/page", page)
    app.router.add_get("/circle", circle)
    listener = Listener(app)
    yield await listener.start()
    await listener.stop()


async def test_a_lone_form_is_filled_in_and_submitted(site: str) -> None:
    """Empty text fields are filled, hidden and checked ones sent, cookies kept, the rest left out."""
    status, text = await browse(f"{site}/")
    assert status == 200
    assert text == "{'login': 'demo', 'h': '1', 'yes': 'on'} x=1 1"


@pytest.mark.parametrize("status", [302, 307])
async def test_redirects_are_followed_relative_to_the_page(site: str, status: int) -> None:
    """A relative redirect leads to the same site, its query untouched."""
    assert await browse(f"{site}/again?status={status}&to=consent%3Fa%252Fb") == (200, "{} a%2Fb None")


async def test_a_307_keeps_method_and_fields(site: str) -> None:
    """A form answered with 307 is sent again as it was."""
    form = "<form method=post action='/again?status=307%26to=/consent'><input name=a value=b></form>"
    assert (await browse(f"{site}/page?html={form.replace(' ', '%20')}"))[1].startswith("{'a': 'b'}")


async def test_a_get_form_becomes_a_query(site: str) -> None:
    """A form without a method sends its fields in the query."""
    form = "<form%20action=/consent><input%20name=a%20value=b></form>"
    assert (await browse(f"{site}/page?html={form}"))[1] == "{} a=b None"


@pytest.mark.parametrize(("press", "sent"), [("", "yes"), ("no", "no"), ("other", "yes")])
async def test_one_button_is_pressed(site: str, press: str, sent: str) -> None:
    """The first one, or the one that is asked for; a button without a name sends nothing."""
    buttons = "<button>x</button><button name=b value=yes></button><input type=submit name=b value=no>"
    form = f"<form method=post action=/consent>{buttons}</form>".replace(" ", "%20")
    assert (await browse(f"{site}/page?html={form}", press=press))[1].startswith(f"{{'b': '{sent}'}}")


async def test_what_is_typed_can_be_chosen(site: str) -> None:
    """A code that the user reads elsewhere goes into the empty field."""
    assert "'login': 'ABCD'" in (await browse(f"{site}/", typed="ABCD"))[1]


async def test_a_page_with_two_forms_is_final(site: str) -> None:
    """The robot does not guess which of two forms is meant."""
    assert await browse(f"{site}/page?html=<form></form><form></form>") == (
        200,
        "<form></form><form></form>",
    )


async def test_an_error_page_is_final(site: str) -> None:
    """An error is returned with its status; a Location without a redirect status leads nowhere."""
    assert (await browse(f"{site}/again?status=400&to=/"))[0] == 400


async def test_a_circle_ends(site: str) -> None:
    """A site that redirects for ever is given up."""
    with pytest.raises(LostBrowserError):
        await browse(f"{site}/circle")

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import HttpVersion, HttpVersion10

from jmap_proxy.errors import SignInNeeded, StoreError, TokenDelayed
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.fast.lane import API, SMALL
from jmap_proxy.proxy.session.endpoint import Kind
from tests.proxy.fast.support import BODY, Keys, Server, World, call, head_of, world
from tests.proxy.support import KEY, Tokens, proxy_to, raw_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WEB = "https://mail.example"


@pytest.fixture
def debugging() -> Iterator[Callable[[bool], None]]:
    """Give what lets the area `proxy` tell everything, or not."""
    area = logging.getLogger("jmap_proxy.proxy")
    yield lambda on: area.setLevel(logging.DEBUG if on else logging.NOTSET)
    area.setLevel(logging.NOTSET)


async def test_an_api_call_has_a_route() -> None:
    """It says where the call goes, whose it is, and what the server gets: no field that is not for it."""
    async with world() as here:
        request = call(f"{here.path}?a=b", fields={"X-A": "1", "Cookie": "c", "Origin": None, "X_B": "2"})
        route = here.route(request)
        assert route is not None
        assert (route.target.kind, route.target.url) == (Kind.API, f"{here.origin}/api/?a=b")
        assert (route.visitor.account, route.visitor.key, route.visitor.web_origin) == ("alice", KEY, "")
        assert (route.lane, route.plane, route.session) == (here.lane, here.plane, here.plane.sessions.latest)
        host = here.origin.removeprefix("http://")
        assert route.prepared.head == f"POST /api/?a=b HTTP/1.1\r\nHost: {host}\r\nX-A: 1\r\n".encode()
        assert here.uses() == 0


NO_CALLS: dict[str, dict[str, Any]] = {
    "GET": {"method": "GET"},
    "PUT": {"method": "PUT"},
    "HEAD": {"method": "HEAD"},
    "OPTIONS": {"method": "OPTIONS"},
    "PATCH": {"method": "PATCH"},
    "HTTP/1.0": {"version": HttpVersion10},
    "HTTP/1.2": {"version": HttpVersion(1, 2)},
    "HTTP/2.0": {"version": HttpVersion(2, 0)},
    "Expect": {"fields": {"Expect": "100-continue"}},
    "another Expect": {"fields": {"expect": "x"}},
    "Upgrade": {"fields": {"upgrade": "h2c", "Connection": "upgrade"}},
    "chunked": {"fields": {"Content-Length": None, "transfer-encoding": "chunked"}},
    "another coding": {"fields": {"Content-Length": None, "Transfer-Encoding": "gzip"}},
    "not UTF-8": {"fields": {"X-A": "\udcff"}},
    "not UTF-8 in what would not go on": {"fields": {"Cookie": "\udcff"}},
    "a control character": {"fields": {"X-A": "a\x0bb"}},
    "a wrong key": {"fields": {"Authorization": "Bearer wrong"}},
    "no key": {"fields": {"Authorization": None}},
    "another scheme": {"fields": {"Authorization": f"Digest {KEY}"}},
    "the key of an account without a plane": {"fields": {"Authorization": "Bearer orphan"}},
    "an unknown Host": {"fields": {"Host": "evil.example"}},
    "no Host": {"fields": {"Host": None}},
    "a foreign Origin": {"fields": {"Origin": "https://evil.example"}},
    "Origin null": {"fields": {"Origin": "null"}},
    "another site": {"fields": {"Sec-Fetch-Site": "cross-site"}},
    "a navigation": {"fields": {"Sec-Fetch-Mode": "navigate"}},
}


@pytest.mark.parametrize("changes", NO_CALLS.values(), ids=NO_CALLS.keys())
async def test_what_is_not_for_the_fast_way_has_none(changes: dict[str, Any]) -> None:
    """The ordinary way answers it, or says why not."""
    async with world() as here:
        assert here.route(call(here.path, **changes)) is None
        assert here.route() is not None


PATHS = {
    "upload": "/{o}/up/A/",
    "event source": "/{o}/ev",
    "download": "/{o}/dl/A/B/n",
    "the Session": "/.well-known/jmap",
    "the Session with a slash": "/.well-known/jmap/",
    "no endpoint": "/{o}/api/x",
    "without the slash": "/{o}/api",
    "an unknown origin": "/o-000000000000/api/",
    "the server's own path": "/api/",
    "nothing": "/",
    "dot segments": "/{o}/x/../api/",
    "encoded dot segments": "/{o}/x/%2e%2e/api/",
    "another spelling": "/{o}/%61pi/",
    "a character of no URL": "/{o}/api/?\\",
    "a fragment": "/{o}/api/#x",
    "absolute form": "http://localhost/{o}/api/",
    "asterisk form": "*",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
async def test_no_other_path_has_one(path: str) -> None:
    """The API endpoint alone, in the spelling of the Session."""
    async with world() as here:
        assert here.route(call(path.replace("{o}", here.path.split("/")[1]))) is None


async def test_there_is_none_without_a_session() -> None:
    """It is to be fetched first; so it is with a plane that has taken the place of another one."""
    async with world() as here:
        here.planes["alice"] = here.new_plane()
        assert here.route() is None
        await here.plane.sessions.fetch()
        assert here.route() is not None
        here.planes.clear()
        assert here.route() is None
        here.planes["alice"] = here.new_plane()


async def test_there_is_none_to_a_server_that_may_not_get_the_token() -> None:
    """Whatever its Session says."""
    async with world() as here:
        barred = here.new_plane(allowed=False)
        barred.sessions.latest = here.plane.sessions.latest
        here.planes["alice"] = barred
        assert here.route() is None


async def test_there_is_none_where_the_keys_cannot_be_read() -> None:
    """Nor an exception."""
    async with world() as here:
        here.keys.error = StoreError("damaged")
        assert here.route() is None


def opened(keys: Keys) -> Door:
    """A door without a key."""
    return Door(keys.account_of, open_account="alice")


@pytest.mark.parametrize(
    ("authorization", "has_route"),
    [(None, True), (f"Bearer {KEY}", True), ("Bearer wrong", False), ("Digest x", False), ("", False)],
)
async def test_at_an_open_account(authorization: str | None, has_route: bool) -> None:
    """Who shows no key comes in. A wrong one may be right the next time, for another account: each is looked up."""
    async with world(opened) as here:
        route = here.route(call(here.path, fields={"Authorization": authorization}))
        assert (route is not None) is has_route
        if route is not None and authorization is None:
            here.keys.error = StoreError("damaged")
            assert here.begin(route) is not None
            assert await here.client.heard() == "answer"


async def test_an_allowed_web_client_has_one() -> None:
    """Its origin goes with it, for the answer."""
    async with world(lambda keys: Door(keys.account_of, web_origins=frozenset({WEB}))) as here:
        route = here.route(call(here.path, fields={"Origin": WEB}))
        assert route is not None
        assert route.visitor.web_origin == WEB


async def test_a_call_is_sent_on() -> None:
    """At once, whole, with the token that is there now; the plane is in use until it is answered."""
    async with world() as here:
        route = here.known_route()
        for token in ("good", "better"):
            here.source.tokens[:] = [token]
            crossing = here.must_begin(route, token.encode())
            assert here.uses() == 1
            assert (crossing.passage.kind, crossing.passage.account) == (API, "alice")
            assert crossing.begun.token == token
            assert await here.client.heard() == "answer"
            assert here.uses() == 0
        tail = "Authorization: Bearer {0}\r\nContent-Length: {1}\r\n\r\n{0}"
        assert await here.sent() == [
            route.prepared.head + tail.format(token, len(token)).encode() for token in ("good", "better")
        ]
        assert here.observer.noted == [("api", 200)] * 2


async def refuse(here: World, body: bytes = BODY) -> None:
    """See that a call is not begun, and nothing is sent nor counted."""
    route = here.known_route()
    await refuse_route(here, route, body)


async def refuse_route(here: World, route: Any, body: bytes = BODY) -> None:
    """As `refuse`, by a route of before."""
    assert here.begin(route, body) is None
    assert here.uses() == 0
    assert (here.client.told, here.observer.noted) == ([], [])


@pytest.mark.parametrize("length", [1001, 5000])
async def test_a_body_that_is_larger_than_the_server_takes_is_not_sent(length: int) -> None:
    """By its maxSizeRequest; the ordinary way says so."""
    async with world() as here:
        await refuse(here, b"x" * length)
        assert await here.sent() == []
        assert here.begin(here.known_route(), b"x" * 1000) is not None
        assert await here.client.heard() == "answer"


async def test_a_call_without_a_body_is_not_sent() -> None:
    """What such a one looks like to the server, the ordinary way says."""
    async with world() as here:
        await refuse(here, b"")
        assert await here.sent() == []


async def test_a_body_that_is_large_is_not_sent_in_one_go() -> None:
    """However large the server takes it."""
    async with world() as here:
        session = here.plane.sessions.latest
        assert session is not None
        here.plane.sessions.latest = type(session)(
            session.document, session.endpoints, session.dropped, 10 * SMALL, session.policy
        )
        await refuse(here, b"x" * (SMALL + 1))
        assert await here.sent() == []
        assert here.begin(here.known_route(), b"x" * SMALL) is not None
        assert await here.client.heard() == "answer"


async def test_nothing_is_sent_once_the_session_is_another_one() -> None:
    """Even if it says the same: what is decided by a Session holds for that one."""
    async with world() as here:
        route = here.known_route()
        await here.plane.sessions.fetch()
        assert here.plane.sessions.latest == route.session
        await refuse_route(here, route)
        assert await here.sent() == []
        here.plane.sessions.latest = None
        await refuse_route(here, route)
        assert await here.sent() == []


async def test_nothing_is_sent_once_the_plane_is_another_one() -> None:
    """Or there is none: the account was removed, or is configured in another way."""
    async with world() as here:
        route, before = here.known_route(), here.plane
        here.planes["alice"] = here.new_plane()
        await refuse_route(here, route)
        assert before.uses._count == 0
        assert await here.sent() == []
        here.planes["bob"] = here.planes.pop("alice")
        assert here.begin(route) is None
        here.planes["alice"] = before
        assert await here.sent() == []
        assert here.begin(route) is not None
        assert await here.client.heard() == "answer"


@pytest.mark.parametrize("change", ["renewed", "removed", "given to another account"])
async def test_nothing_is_sent_once_the_key_is_no_more(change: str) -> None:
    """From the moment on in which it was renewed or removed; nor if it opens another account."""
    async with world() as here:
        route = here.known_route()
        del here.keys.of[KEY]
        here.keys.of |= {"renewed": {"new": "alice"}, "given to another account": {KEY: "bob"}}.get(change, {})
        await refuse_route(here, route)
        assert await here.sent() == []
        here.keys.of[KEY] = "alice"
        assert here.begin(route) is not None
        assert await here.client.heard() == "answer"


async def test_nothing_is_sent_while_the_keys_cannot_be_read() -> None:
    """The ordinary way tells the client."""
    async with world() as here:
        route = here.known_route()
        here.keys.error = StoreError("damaged")
        await refuse_route(here, route)
        assert await here.sent() == []


async def test_nothing_is_sent_while_each_request_is_told_of(debugging: Callable[[bool], None]) -> None:
    """Such a line has the id of the request, which has a task then."""
    async with world() as here:
        route = here.known_route()
        debugging(True)
        await refuse_route(here, route)
        assert await here.sent() == []
        debugging(False)
        assert here.begin(route) is not None
        assert await here.client.heard() == "answer"


async def test_nothing_is_sent_without_a_token() -> None:
    """It is not waited for here."""
    async with world() as here:
        route = here.known_route()
        here.source.at_once = False
        await refuse_route(here, route)
        assert await here.sent() == []
        assert here.source.calls == ["ensure"]  # by `sent`


@pytest.mark.parametrize(
    "token", ["a\r\nX-A: b", "a\nb", "a\0", "\x7f", "a\udcff"], ids=["field", "LF", "NUL", "DEL", "surrogate"]
)
async def test_no_token_is_sent_that_cannot_be_one(token: str) -> None:
    """A control character, or what cannot be encoded, ends the call here as it does in the ordinary way."""
    async with world() as here:
        route = here.known_route()
        here.source.tokens[:] = [token]
        await refuse_route(here, route)
        here.source.tokens[:] = ["good"]
        assert await here.sent() == []


@pytest.mark.parametrize("error", [SignInNeeded("alice", "gone"), TokenDelayed("late")], ids=["gone", "late"])
async def test_nothing_is_sent_where_the_token_source_says_why_not(error: Exception) -> None:
    """The ordinary way hears it too, and tells the client."""
    async with world() as here:
        route = here.known_route()
        here.source.refusal = error  # type: ignore[assignment]
        await refuse_route(here, route)
        here.source.refusal = None
        assert await here.sent() == []


async def test_nothing_is_sent_where_no_connection_rests() -> None:
    """The only one is in use; with its answer it rests again."""
    async with world() as here:
        route = here.known_route()
        here.server.answers[:] = [[b"", here.server.answers[0][0]]]
        here.must_begin(route)
        assert here.begin(route) is None
        assert here.uses() == 1
        here.server.go_on.set()
        assert await here.client.heard() == "answer"
        assert len(await here.sent()) == 1
        assert here.uses() == 0
        here.must_begin(route)
        assert await here.client.heard() == "answer"


async def test_nothing_is_sent_by_a_connection_that_has_been_closed() -> None:
    """By us, or by the server."""
    async with world() as here:
        route = here.known_route()
        crossing = here.must_begin(route)
        crossing.close()
        await refuse_route(here, route)
        assert len(await here.sent()) <= 1  # closed before or after the server has read it


async def test_a_handlers_lane_is_of_its_door_and_its_planes() -> None:
    """As a proxy builds it: what its door lets in has a route, once the Session was asked for."""
    async with (
        raw_server(Server().serve) as origin,
        proxy_to(f"{origin}/.well-known/jmap", Tokens(at_once=True)) as proxy,
    ):
        path = (await proxy.url("apiUrl")).removeprefix(proxy.origin)
        for keys, has_route in (({KEY: "alice"}, True), ({}, False), ({KEY: "bob"}, False)):
            route = proxy.handler.lane(Door(keys.get)).route(call(path), head_of(path))
            assert (route is not None) is has_route

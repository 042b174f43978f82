import asyncio
from hashlib import sha256

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from jmap_proxy.errors import HostRefused, KeyRefused, OriginRefused
from jmap_proxy.origins import Origin
from jmap_proxy.proxy.door.access import Visitor
from jmap_proxy.proxy.door.door import Door, check_sender

PORT = 8620


class _Transport(asyncio.Transport):
    """A connection to the listener; both families' socket names begin alike."""

    def __init__(self, sockname: tuple[object, ...]) -> None:
        super().__init__({"sockname": sockname})


def request(headers: dict[str, str], sockname: tuple[object, ...] = ("127.0.0.1", PORT)) -> web.Request:
    """A request as it stands at the door."""
    return make_mocked_request("GET", "/", headers=headers, transport=_Transport(sockname))


@pytest.mark.parametrize("sockname", [("127.0.0.1", PORT), ("::1", PORT, 0, 0)])
def test_the_port_is_the_clients_own(sockname: tuple[object, ...]) -> None:
    """What the client sees is the name and port that it used (`ssh -L`), or the listening port if it names none."""
    for host, port in (("localhost", PORT), ("localhost:1", 1)):
        assert check_sender(request({"Host": host}, sockname)) == (Origin("http", "localhost", port), "")


def test_further_names_are_let_in_where_they_are_given() -> None:
    """Besides the loopback ones."""
    asked = request({"Host": "mail.home"})
    assert check_sender(asked, frozenset({"mail.home"}))[0].host == "mail.home"
    with pytest.raises(HostRefused):
        check_sender(asked)


@pytest.mark.parametrize(
    "mark",
    [
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_a_web_page_stays_out_even_with_a_key(mark: dict[str, str]) -> None:
    """A browser adds a key that it has kept by itself."""
    with pytest.raises(OriginRefused):
        Door({"k": "alice"}.get).enter(request({"Host": "localhost", "Authorization": "Bearer k", **mark}))


@pytest.mark.parametrize(
    ("key", "open_account", "account"),
    [
        ("k", "", "alice"),
        ("k", "bob", "alice"),
        ("wrong", "bob", "bob"),
        ("", "bob", "bob"),
        ("", "", ""),
        ("x", "", ""),
    ],
)
def test_a_key_opens_its_account(key: str, open_account: str, account: str) -> None:
    """A good key comes before the open account; without either there is a 401. Only a key that counted is noted."""
    headers = {"Host": "localhost"} | ({"Authorization": f"Bearer {key}"} if key else {})
    door = Door({"k": "alice"}.get, open_account)
    if account:
        visitor, counted = door.enter(request(headers)), key if key == "k" else ""
        assert visitor == Visitor(Origin("http", "localhost", PORT), account, key=counted)
        assert visitor.key_digest == (sha256(b"k").hexdigest() if counted else "")
        assert "'k'" not in repr(visitor)
    else:
        with pytest.raises(KeyRefused) as caught:
            door.enter(request(headers))
        assert "jmap-proxy key NAME" in caught.value.hint
        assert "jmap-proxy login NAME" in caught.value.hint  # a sign-out takes the key away too


PAGE = "http://localhost:3000"


@pytest.mark.parametrize("site", ["same-site", "cross-site", "same-origin"])
def test_an_allowed_web_client_comes_in_with_its_key(site: str) -> None:
    """Its origin goes with it, so that its browser lets it read the answer; it needs a key like everybody."""
    door = Door({"k": "alice"}.get, web_origins=frozenset({PAGE}))
    headers = {"Host": "localhost", "Origin": PAGE, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors"}
    visitor = door.enter(request({**headers, "Authorization": "Bearer k"}))
    assert visitor == Visitor(Origin("http", "localhost", PORT), "alice", PAGE, "k")
    with pytest.raises(KeyRefused):
        door.enter(request(headers))


def test_an_allowed_web_clients_images_stay_out() -> None:
    """What its page asks for without an Origin could be anything that it shows."""
    door = Door(lambda _: None, "alice", web_origins=frozenset({PAGE}))
    with pytest.raises(OriginRefused):
        door.enter(request({"Host": "localhost", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}))


def test_an_open_account_is_closed_where_browsers_mark_nothing() -> None:
    """They send no Sec-Fetch-Site to a foreign name over plain http, so any page's image would come in."""
    door = Door({"k": "alice"}.get, "alice", names=frozenset({"mail.home"}))
    assert door.enter(request({"Host": "localhost"})).account == "alice"
    with pytest.raises(KeyRefused):
        door.enter(request({"Host": "mail.home"}))
    assert door.enter(request({"Host": "mail.home", "Authorization": "Bearer k"})).account == "alice"


@pytest.mark.parametrize(("key", "open_account"), [("k", ""), ("", "alice"), ("wrong", "alice"), ("k", "alice")])
def test_an_accounts_own_listener_lets_it_in(key: str, open_account: str) -> None:
    """By its key, or without one where it needs none."""
    door = Door({"k": "alice", "b": "bob"}.get, open_account, only="alice")
    assert door.enter(request({"Host": "localhost", "Authorization": f"Bearer {key}"})).account == "alice"


@pytest.mark.parametrize(("key", "open_account"), [("b", ""), ("b", "alice"), ("", ""), ("wrong", "")])
def test_an_accounts_own_listener_lets_nobody_else_in(key: str, open_account: str) -> None:
    """Another account's key is told to be that, open or not; no request ends in another account than it asked for."""
    door = Door({"k": "alice", "b": "bob"}.get, open_account, only="alice")
    with pytest.raises(KeyRefused, match="'alice' alone" if key == "b" else "local key"):
        door.enter(request({"Host": "localhost", "Authorization": f"Bearer {key}"}))


def test_a_unix_socket_has_no_port() -> None:
    """A URL without one means the scheme's own."""
    unix = _Transport(())
    unix._extra["sockname"] = "/run/jmap-proxy.sock"  # type: ignore[attr-defined]
    asked = make_mocked_request("GET", "/", headers={"Host": "localhost"}, transport=unix)
    assert check_sender(asked)[0] == Origin("http", "localhost", 80)

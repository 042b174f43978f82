import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from jmap_proxy.errors import HostRefused, KeyRefused, OriginRefused
from jmap_proxy.origins import Origin
from jmap_proxy.proxy.door import Door, check_sender

PORT = 8620


class _Transport(asyncio.Transport):
    """A connection to the listener; both families' socket names begin alike."""

    def __init__(self, sockname: tuple[object, ...]) -> None:
        super().__init__({"sockname": sockname})


def request(headers: dict[str, str], sockname: tuple[object, ...] = ("127.0.0.1", PORT)) -> web.Request:
    """A request as it stands at the door."""
    return make_mocked_request("GET", "/", headers=headers, transport=_Transport(sockname))


@pytest.mark.parametrize("sockname", [("127.0.0.1", PORT), ("::1", PORT, 0, 0)])
def test_the_port_is_the_listeners_own(sockname: tuple[object, ...]) -> None:
    """What the client sees is the name that it used, on the port that it reached."""
    assert check_sender(request({"Host": "localhost"}, sockname)) == Origin("http", "localhost", PORT)
    with pytest.raises(HostRefused):
        check_sender(request({"Host": "localhost:1"}, sockname))


def test_further_names_are_let_in_where_they_are_given() -> None:
    """Besides the loopback ones."""
    asked = request({"Host": "mail.home"})
    assert check_sender(asked, frozenset({"mail.home"})).host == "mail.home"
    with pytest.raises(HostRefused):
        check_sender(asked)


@pytest.mark.parametrize("mark", [{"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
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
    """A good key comes before the open account; without either there is a 401."""
    headers = {"Host": "localhost"} | ({"Authorization": f"Bearer {key}"} if key else {})
    door = Door({"k": "alice"}.get, open_account)
    if account:
        assert door.enter(request(headers)) == (Origin("http", "localhost", PORT), account)
    else:
        with pytest.raises(KeyRefused):
            door.enter(request(headers))

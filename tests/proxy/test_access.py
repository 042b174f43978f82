import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import HostRefused, OriginRefused
from jmap_proxy.origins import Origin
from jmap_proxy.proxy.access import LOOPBACK_NAMES, check_host, check_not_web_page, presented_key


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8620", "127.0.0.1", "127.0.0.1:8620", "[::1]:8620"])
def test_the_proxys_own_names_come_in(host: str) -> None:
    """Each loopback name is served, with its port or without, and the origin has the listening port."""
    origin = check_host([host], "http", 8620, LOOPBACK_NAMES)
    assert origin == Origin("http", host.lower().removesuffix(":8620").strip("[]"), 8620)


@pytest.mark.parametrize(
    "fields",
    [
        *([host] for host in ("localhost.evil.com", "127.0.0.1.evil.com", "evil.com", "localhost.", "xlocalhost")),
        *([host] for host in ("user@localhost", "localhost:80", "localhost:", " localhost", "localhost ", "")),
        *([host] for host in ("[127.0.0.1]", "::1", "[::1", "localhost:8620:8620", "localhost\t", "localhost/")),
        [],
        ["localhost", "localhost"],
    ],
)
def test_other_hosts_are_refused(fields: list[str]) -> None:
    """Only whole names of the list and the listening port are served."""
    with pytest.raises(HostRefused) as caught:
        check_host(fields, "http", 8620, LOOPBACK_NAMES)
    assert caught.value.hint


@given(st.text())
def test_only_exact_names_come_in(host: str) -> None:
    """Whatever a client writes, what comes in is a name of the list on the port of the listener."""
    try:
        origin = check_host([host], "https", 8621, frozenset({"mail.home"}))
    except HostRefused:
        return
    assert (origin.scheme, origin.host, origin.port) == ("https", "mail.home", 8621)


@pytest.mark.parametrize("site", [None, "none", "same-origin"])
def test_programs_are_not_web_pages(site: str | None) -> None:
    """Without Origin, and with what a browser sends for an address that its user typed, a request comes in."""
    check_not_web_page(None, site)


@pytest.mark.parametrize(
    ("origin", "site"), [("https://evil.com", None), ("null", None), ("", None), (None, "cross-site"), (None, "x")]
)
def test_web_pages_are_refused(origin: str | None, site: str | None) -> None:
    """Any Origin, also `null`, and a Sec-Fetch-Site of another site are refused."""
    with pytest.raises(OriginRefused):
        check_not_web_page(origin, site)


def _basic(pair: bytes) -> str:
    return "Basic " + base64.b64encode(pair).decode()


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        (["Bearer k"], "k"),
        (["bearer  k "], "k"),
        ([_basic(b"any:k")], "k"),
        ([_basic(b":k:l")], "k:l"),
        ([_basic(b"\xff:k")], "k"),
        ([_basic(b"k")], None),
        (["Basic !"], None),
        (["Basic \xe9"], None),
        (["Bearer"], None),
        (["Digest k"], None),
        ([], None),
        (["Bearer k", "Bearer k"], None),
    ],
)
def test_the_key_is_a_basic_password_or_a_bearer_token(fields: list[str], key: str | None) -> None:
    """The user name of Basic does not matter; two fields, and what is neither, show no key."""
    assert presented_key(fields) == key

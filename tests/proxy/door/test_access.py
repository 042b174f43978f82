import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import HostRefused, OriginRefused
from jmap_proxy.origins import Origin
from jmap_proxy.proxy.door.access import (
    LOOPBACK_NAMES,
    allowed_origin,
    check_host,
    check_no_browsing,
    check_web_page,
    is_from_browser,
    presented_key,
)

PAGE = "https://webmail.example.com"


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8620", "127.0.0.1", "127.0.0.1:8620", "[::1]:8620"])
def test_the_proxys_own_names_come_in(host: str) -> None:
    """Each loopback name is served, with its port or without, and the origin has the listening port."""
    origin = check_host([host], "http", 8620, LOOPBACK_NAMES)
    assert origin == Origin("http", host.lower().removesuffix(":8620").strip("[]"), 8620)


@pytest.mark.parametrize(
    "fields",
    [
        *([host] for host in ("localhost.evil.com", "127.0.0.1.evil.com", "evil.com", "localhost.", "xlocalhost")),
        *(
            [host]
            for host in (
                "user@localhost",
                "localhost:0",
                "localhost:65536",
                "localhost:",
                " localhost",
                "localhost ",
                "",
            )
        ),
        *([host] for host in ("[127.0.0.1]", "::1", "[::1", "localhost:8620:8620", "localhost\t", "localhost/")),
        [],
        ["localhost", "localhost"],
    ],
)
def test_other_hosts_are_refused(fields: list[str]) -> None:
    """Only whole names of the list are served."""
    with pytest.raises(HostRefused) as caught:
        check_host(fields, "http", 8620, LOOPBACK_NAMES)
    assert caught.value.hint


@given(st.text() | st.builds("mail.home{}".format, st.text()) | st.builds("{}mail.home".format, st.text()))
def test_only_exact_names_come_in(host: str) -> None:
    """Whatever a client writes, what comes in is a name of the list, on a port."""
    try:
        origin = check_host([host], "https", 8621, frozenset({"mail.home"}))
    except HostRefused:
        return
    assert (origin.scheme, origin.host) == ("https", "mail.home")
    assert host.lower() in (
        "mail.home",
        *(f"mail.home:{zeros}{origin.port}" for zeros in ("", "0", "00", "000", "0000")),
    )


@pytest.mark.parametrize("site", [None, "none", "same-origin"])
def test_programs_are_not_web_pages(site: str | None) -> None:
    """Without Origin, and with what a browser sends for an address that its user typed, a request comes in."""
    assert check_web_page([], site, frozenset({PAGE})) == ""


@pytest.mark.parametrize(
    ("origins", "site"),
    [
        (["https://evil.com"], None),
        (["https://evil.com"], "none"),
        (["null"], "cross-site"),
        ([""], None),
        ([PAGE + ".evil.com"], None),
        ([PAGE + "/"], None),
        ([PAGE.upper()], None),
        (["http" + PAGE.removeprefix("https")], None),
        ([PAGE, PAGE], "cross-site"),
        ([PAGE, "https://evil.com"], None),
        ([f"{PAGE} https://evil.com"], None),
        ([f"{PAGE}, https://evil.com"], None),
        ([], "cross-site"),
        ([], "same-site"),
        ([], "x"),
        ([], ""),
    ],
)
def test_web_pages_are_refused(origins: list[str], site: str | None) -> None:
    """Any Origin but exactly one allowed, also `null`, and a Sec-Fetch-Site of another site."""
    with pytest.raises(OriginRefused):
        check_web_page(origins, site, frozenset({PAGE}))


@pytest.mark.parametrize("site", [None, "cross-site", "same-site"])
def test_an_allowed_page_comes_in(site: str | None) -> None:
    """With its Origin."""
    assert check_web_page([PAGE], site, frozenset({PAGE})) == PAGE


@given(st.lists(st.text() | st.just(PAGE), max_size=3))
def test_only_an_exact_origin_is_allowed(origins: list[str]) -> None:
    """Whatever is sent: one value, which is the allowed one to the letter."""
    assert allowed_origin(origins, frozenset({PAGE})) == (PAGE if origins == [PAGE] else "")


@pytest.mark.parametrize(("site", "mode"), [(None, None), (None, "cors"), ("none", "no-cors"), ("none", "cors")])
def test_a_program_does_not_browse(site: str | None, mode: str | None) -> None:
    """Nor does Node, which sends `sec-fetch-mode: cors`, nor a browser's own mail client."""
    check_no_browsing(site, mode)


@pytest.mark.parametrize(
    ("site", "mode"), [("none", "navigate"), (None, "navigate"), ("same-origin", "cors"), ("same-origin", "no-cors")]
)
def test_a_browser_shows_nothing(site: str | None, mode: str | None) -> None:
    """A link in a mail, a typed address that redirects here, and what a page of this origin could ask for."""
    with pytest.raises(OriginRefused):
        check_no_browsing(site, mode)


@pytest.mark.parametrize(
    ("names", "browser"),
    [
        ({"Host", "Accept"}, False),
        ({"Sec-Fetch-Mode"}, False),
        ({"Origin"}, True),
        ({"Sec-Fetch-Site"}, True),
        ({"Upgrade-Insecure-Requests"}, True),
    ],
)
def test_a_browser_is_known_by_its_marks(names: set[str], browser: bool) -> None:
    """Node's alone is none."""
    assert is_from_browser(names) is browser


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

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.origins import (
    DEFAULT_PORTS,
    AllowedOrigins,
    Origin,
    OriginPattern,
    is_below,
    is_inside,
    is_loopback,
    locate,
    parse_allowed,
    parse_origin,
    parse_web_origin,
    split_url,
)

LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
HOSTS = (
    st.lists(LABEL, min_size=1, max_size=4).map(".".join)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
)
ORIGINS = st.builds(Origin, st.sampled_from(["http", "https"]), HOSTS, st.integers(1, 65535))
RESTS = st.just("") | st.builds(lambda first, rest: first + rest, st.sampled_from("/?#"), st.text())


@given(origin=ORIGINS, rest=RESTS)
def test_an_origin_comes_back_from_its_url(origin: Origin, rest: str) -> None:
    """Origin and rest are split where they were joined, and the rest is kept byte for byte."""
    assert split_url(f"{origin}{rest}") == (origin, rest)


@given(url=st.text() | st.builds(lambda s, t: f"{s}://{t}", st.sampled_from(["http", "https", "ws", "wss"]), st.text()))
def test_any_text_is_split_safely_or_refused(url: str) -> None:
    """No other error than ValueError; what is accepted has a plain authority."""
    try:
        origin, rest = split_url(url)
    except ValueError:
        return
    assert origin.scheme in DEFAULT_PORTS
    assert 0 < origin.port < 65536
    assert origin.host.isascii()
    assert not set(origin.host) & set("@\\/?#[]% ")
    assert rest[:1] in ("", "/", "?", "#")


@given(user=st.text(string.printable.replace("/", "").replace("?", "").replace("#", "")), host=HOSTS)
def test_user_info_is_never_accepted(user: str, host: str) -> None:
    """An @ in the authority is refused, whatever stands before it."""
    with pytest.raises(ValueError, match="not an absolute"):
        split_url(f"https://{user}@{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "//mail.example.com/",
        "/jmap",
        "ftp://mail.example.com/",
        "https:/mail.example.com",
        "https://",
        "https:///x",
        "https://good.example\\@evil.example/",
        "https://good.example\\.evil.example/",
        "https://mail.example.com:/",
        "https://mail.example.com:0/",
        "https://mail.example.com:65536/",
        "https://mail.example.com:+443/",
        "https://mail.example.com:٤٤٣/",
        "https://mail.example.com:443x/",
        "https://mail example.com/",
        "https://mail.example.com\n/",
        "https://mail%2eexample.com/",
        "https://-x.example/",
        "https://x.example./",
        "http://[127.0.0.1]/",
        "https://[mail]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://::1/",
        "http\u017f://mail.example.com/",
        "https://\u212aeys.example/",
        "https://bücher.example/",
    ],
)
def test_odd_urls_are_refused(url: str) -> None:
    """Everything that two parsers could understand in two ways."""
    with pytest.raises(ValueError, match=r".+"):
        split_url(url)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Mail.Example.COM/A", "https://mail.example.com"),
        ("https://mail.example.com:443", "https://mail.example.com"),
        ("https://mail.example.com:8443/x", "https://mail.example.com:8443"),
        ("http://localhost:80?x", "http://localhost"),
        ("ws://localhost:8080/ws", "http://localhost:8080"),
        ("wss://mail.example.com/ws", "https://mail.example.com"),
        ("https://[2001:DB8:0:0::1]:8443/", "https://[2001:db8::1]:8443"),
    ],
)
def test_one_origin_has_one_spelling(url: str, origin: str) -> None:
    """Case, default ports, WebSocket schemes and long IPv6 addresses make no difference."""
    assert str(parse_origin(url)) == origin


def test_templates_stay_strings() -> None:
    """The braces of an RFC 6570 template are not touched."""
    assert split_url("https://m.example/d/{accountId}/{blobId}?a={type}")[1] == "/d/{accountId}/{blobId}?a={type}"


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine(host: str) -> None:
    """Localhost, all of 127/8, and ::1."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "localhost.example.com", "127.0.0.1.nip.io", "0.0.0.0", "::", "10.0.0.1", "127.1", "0177.0.0.1"],  # noqa: S104
)
def test_not_this_machine(host: str) -> None:
    """What only looks like it."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://mail.example.com", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://mail.example.com", False),
        ("ws://mail.example.com", False),
    ],
)
def test_where_a_secret_may_travel(url: str, *, safe: bool) -> None:
    """Over TLS, or without leaving the machine."""
    assert parse_origin(url).is_safe_for_secrets is safe


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://webmail.example.com", "https://webmail.example.com"),
        ("HTTPS://WebMail.Example.com:443/", "https://webmail.example.com"),
        ("https://webmail.example.com:8443", "https://webmail.example.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
    ],
)
def test_a_web_origin_is_written_as_browsers_write_it(text: str, origin: str) -> None:
    """Lower case, one spelling of an address, no default port, no slash."""
    assert parse_web_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*",
            "null",
            "",
            "https://*.example.com",
            "webmail.example.com",
            "http://",
            "file:///x",
            "https://a@b.example",
        ),
        *("http://webmail.example.com", "http://192.168.1.2:3000", "http://localhost.example.com:3000"),
        *("https://webmail.example.com/x", "https://webmail.example.com?", "https://webmail.example.com//"),
        *("wss://webmail.example.com", "ws://localhost:3000", " https://webmail.example.com", "https://a.example,b"),
    ],
)
def test_what_is_no_trustworthy_web_origin(text: str) -> None:
    """Patterns, paths, other schemes, and pages that a network could have changed."""
    with pytest.raises(ValueError, match=r"."):
        parse_web_origin(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("//content.example.net", "https://content.example.net/"),
        ("https://content.example.net?x={y}", "https://content.example.net/?x={y}"),
        ("wss:/ws/", "https://mail.example.com/ws/"),
        ("up//{a}/", "https://mail.example.com/jmap/up//{a}/"),
        ("../x/./y", "https://mail.example.com/x/y"),
        ("../../..", "https://mail.example.com/"),
        ("?x=1", "https://mail.example.com/jmap/session?x=1"),
        ("/a//b", "https://mail.example.com/a//b"),
    ],
)
def test_urls_are_resolved_as_strings(url: str, expected: str) -> None:
    """Against the Session's own URL, with empty segments and braces kept."""
    origin, rest = locate(url, "https://mail.example.com/jmap/session")
    assert f"{origin}{rest}" == expected
    assert split_url(expected) == (origin, rest)


@pytest.mark.parametrize(
    ("host", "pattern", "fits"),
    [
        ("api.example.com", "*.example.com", True),
        ("a.b.EXAMPLE.com", "*.example.COM", True),
        ("example.com", "example.com", True),
        ("example.com", "*.example.com", False),
        (".example.com", "*.example.com", False),
        ("evil-example.com", "*.example.com", False),
        ("evilexample.com", "example.com", False),
        ("example.com.evil.net", "*.example.com", False),
        ("example.com.evil.net", "example.com", False),
        ("api.example.com", "example.com", False),
    ],
)
def test_names_are_matched_by_whole_labels(host: str, pattern: str, *, fits: bool) -> None:
    """A name that only looks like one below another is not."""
    assert is_below(host, pattern) is fits


BELOW = AllowedOrigins.of(
    parse_origin("https://mail.example.org"), ["https://*.Example.com", "https://*.b.example:8443"]
)


@pytest.mark.parametrize(
    "url",
    [
        "https://mail.example.org",
        "https://api.example.com",
        "https://PHL.API.Example.COM:443/path",
        "wss://api.example.com/ws",
        "https://a_b.example.com",
        "https://xn--mller-kva.example.com",
        "https://a.b.example:8443",
    ],
)
def test_what_is_below_an_allowed_name_is_allowed(url: str) -> None:
    """One or more labels in front of it, in any spelling, on the port given."""
    assert parse_origin(url) in BELOW


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://evil-example.com",
        "https://evilexample.com",
        "https://example.com.evil.net",
        "https://api.example.com.evil.net",
        "https://api.example.com:8443",
        "https://a.b.example",
        "http://api.example.com",
        "https://api..example.com",
        "https://-.example.com.evil",
        "https://-a.example.com.",
        "https://api-.example.com",
        "https://api.mail.example.org",
        "https://127.0.0.1",
        "https://[::1]",
        "https://localhost",
    ],
)
def test_what_only_looks_like_it_is_not(url: str) -> None:
    """The name itself, names that end or begin like it, other ports, plain http, addresses, empty labels."""
    try:
        origin = parse_origin(url)
    except ValueError:
        return  # no URL of that host can be made at all
    assert origin not in BELOW


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com@evil.net",
        "https://api.example.com@evil.net",
        "https://evil.net\\.example.com",
        "https://evil.net#.example.com",
        "https://evil.net/.example.com",
        "https://evil.net?.example.com",
        "https://evil.net%2f.example.com",
        "https://api.example.com.",
        "https://m\u00fcller.example.com",
        "https://api.example\u3002com",
        "https://api.\u212aexample.com",
        "https://*.example.com",
    ],
)
def test_no_spelling_of_a_url_gets_by(url: str) -> None:
    """User info, other separators, a trailing dot, letters that only look like it: refused, or the host that it is."""
    try:
        origin = parse_origin(url)
    except ValueError:
        return
    assert origin.host == "evil.net"
    assert origin not in BELOW


LABELS = st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True), min_size=1, max_size=3)


@given(front=LABELS, port=st.sampled_from([443, 8443]))
def test_a_pattern_is_about_whole_labels(front: list[str], port: int) -> None:
    """What stands in front of the base is one label or more, and a label that only ends like the base is another."""
    pattern = OriginPattern("example.com", port)
    assert Origin("https", ".".join([*front, "example.com"]), port) in pattern
    assert Origin("https", ".".join(front) + "example.com", port) not in pattern
    assert Origin("https", ".".join(["example.com", *front]), port) not in pattern
    assert Origin("https", ".".join([*front, "example.com"]), port + 1) not in pattern
    assert Origin("http", ".".join([*front, "example.com"]), port) not in pattern


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://*.example.com", "https only"),
        ("ws://*.example.com", "https only"),
        ("wss://*.example.com", "https only"),
        ("https://*.com", "one owner"),
        ("https://*.localhost", "one owner"),
        ("https://*.here.localhost", "one owner"),
        ("https://*.lan.local", "one owner"),
        ("https://*.co.uk", "one owner"),
        ("https://*.COM.au", "one owner"),
        ("https://*.0.0.1", "not an address"),
        ("https://*.127.0.0.1", "not an address"),
        ("https://*.example.0x7f", "not an address"),
        ("https://*.[::1]", "not an address"),
        ("https://*.a..example.com", "not an address"),
        ("https://*.", "not an absolute"),
        ("https://*", "not an absolute"),
        ("https://*example.com", "not an absolute"),
        ("https://a.*.example.com", "not an absolute"),
        ("https://*.*.example.com", "not an absolute"),
        ("https://*.example.com.", "not an absolute"),
        ("https://*.m\u00fcller.example", "not an absolute"),
        ("https://*.example.com@evil.net", "not an absolute"),
        ("https://me@*.example.com", "not an absolute"),
        ("https://*.example.com:0", "port"),
        ("https://*.example.com:*", "not an absolute"),
        ("https://*.example.com/jmap", "path"),
        ("https://mail.example.com/jmap", "path"),
        ("*.example.com", "not an absolute"),
    ],
)
def test_a_pattern_that_says_too_much_is_refused(text: str, told: str) -> None:
    """A wildcard stands once, in front, of a name that can have one owner, and over https."""
    with pytest.raises(ValueError, match=told):
        parse_allowed(text)


def test_patterns_have_one_spelling() -> None:
    """As origins have."""
    assert parse_allowed("HTTPS://*.Example.COM:443/") == OriginPattern("example.com")
    assert parse_allowed("https://*.example.co.uk:8443") == OriginPattern("example.co.uk", 8443)
    assert parse_allowed("https://mail.example.com") == Origin("https", "mail.example.com", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.1.2.3", "192.168.1.1", "169.254.1.1", "fd00::1"])
def test_addresses_inside(host: str) -> None:
    """Of this machine and its network."""
    assert is_inside(host)


@pytest.mark.parametrize("host", ["9.9.9.9", "2620:fe::fe", "mail.example.com", "192.168.1.1.example.com", ""])
def test_addresses_elsewhere(host: str) -> None:
    """And names: where they lead is not known, but a certificate says whose they are."""
    assert not is_inside(host)

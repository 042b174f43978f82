import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from jmap_proxy.errors import BadPath, MethodRefused, NotAnEndpoint
from jmap_proxy.origins import Origin, locate, parse_origin
from jmap_proxy.proxy.session.endpoint import Kind, local_prefix
from jmap_proxy.proxy.session.policy import Policy
from jmap_proxy.proxy.session.session import read_session
from jmap_proxy.proxy.session.target import Target, check_path, is_session_path, local_location, resolve
from tests.proxy.session.documents import ALLOWED, FORCE, FOREIGN, FOUND, LOCAL, URLS, documents, url_fields, urls_at
from tests.proxy.session.documents import POLICY as POLICY_OF_DOCUMENTS
from tests.proxy.support import SESSION

ORIGIN = Origin("https", "mail.example.com", 443)
EVIL = Origin("https", "evil.example", 443)
POLICY = Policy(ORIGIN, frozenset({ORIGIN}))
READ = read_session(json.dumps(SESSION).encode(), f"{ORIGIN}/.well-known/jmap", POLICY)
PREFIX = f"/{local_prefix(ORIGIN)}"
DOT = st.sampled_from([".", "%2e", "%2E"])
SLASH = st.sampled_from(["/", "%2f", "%2F", "%5c", "%5C"])


@given(st.lists(DOT, min_size=1, max_size=2).map("".join), SLASH, SLASH | st.just(";x/") | st.just("%3bx/"))
def test_dot_segments_are_refused_in_every_spelling(dots: str, before: str, after: str) -> None:
    """Literal or percent-encoded, behind a literal or encoded slash, with a path parameter, at the end or not."""
    for path in (f"/a{before}{dots}{after}b", f"/a{before}{dots}"):
        with pytest.raises(BadPath):
            check_path(path)


@pytest.mark.parametrize("path", ["http://evil.com/", "*", "", "evil.com:443", "/a b", "/a\\b", "/é", "/a%00", "/a#b"])
def test_ambiguous_targets_are_refused(path: str) -> None:
    """Absolute form, characters that no URL has, NUL and fragments do not pass."""
    with pytest.raises(BadPath) as caught:
        check_path(path)
    assert caught.value.hint


@given(st.text("abc./%{}*&=;~-_", max_size=40))
def test_paths_are_kept_byte_for_byte(rest: str) -> None:
    """What stands behind the download prefix goes upstream as it came."""
    target = resolve("GET", f"{PREFIX}/dl/A/B/{rest}?accept={rest}", READ)
    assert target.url == f"{ORIGIN}/dl/A/B/{rest}?accept={rest}"


@given(
    st.text("abc./%{}*&=;~-_?@:#\\", max_size=40),
    st.sampled_from(
        [PREFIX, "", "/", "//evil.example", f"/{local_prefix(EVIL)}", f"{PREFIX}@evil.example", "http://evil.example"]
    ),
    st.sampled_from(["/dl/A/B/", "/api/", "/up/", "/ev", ""]),
    st.sampled_from(["GET", "POST"]),
)
def test_a_token_goes_nowhere_else_whatever_the_path(rest: str, prefix: str, path: str, method: str) -> None:
    """A request is refused, or its URL is at an allowed origin, however that URL is read."""
    try:
        check_path(f"{prefix}{path}{rest}")
        target = resolve(method, f"{prefix}{path}{rest}", READ)
    except (BadPath, NotAnEndpoint, MethodRefused):
        return
    assert target.origin == parse_origin(target.url) == ORIGIN
    assert urlsplit(target.url).netloc == ORIGIN.host
    assert URL(target.url, encoded=True).host == ORIGIN.host
    assert target.url.startswith(f"{ORIGIN}/")


@given(documents(URLS, urls_at(*ALLOWED, *FOREIGN)), st.sampled_from([POLICY_OF_DOCUMENTS, FORCE]))
def test_shown_urls_lead_back_to_where_they_came_from(document: dict[str, Any], policy: Policy) -> None:
    """Whatever the Session: what the client is shown is resolved to the URL that the server has named."""
    session = read_session(json.dumps(document).encode(), FOUND, policy)
    named = url_fields(document)
    for path, url in url_fields(json.loads(session.shown_at(LOCAL))).items():
        local = url.partition("://localhost:8620")[2]
        method = "POST" if "upload" in path[-1] or path[-1] in {"apiUrl", "generationEndpoint"} else "GET"
        if path[-1] == "revocationEndpoint":
            method, local = "DELETE", f"{local.partition('?')[0].removesuffix('/')}/ticket"
        if path[-1] == "webWriteUrlTemplate":
            method = "PUT"
        origin, rest = policy.place(*locate(named[path], FOUND))
        target = resolve(method, local, session)
        assert target.origin == origin
        assert path[-1] == "revocationEndpoint" or target.url == f"{origin}{rest}"


@given(documents(URLS, URLS), documents(URLS, URLS))
def test_kept_urls_keep_their_meaning(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A URL of an older Session leads where it did, or nowhere: never to another origin."""
    older, newer = (read_session(json.dumps(each).encode(), FOUND, POLICY_OF_DOCUMENTS) for each in (first, second))
    for url in url_fields(json.loads(older.shown_at(LOCAL))).values():
        local = url.partition("://localhost:8620")[2]
        for method in ("GET", "POST"):
            try:
                before, after = resolve(method, local, older), resolve(method, local, newer)
            except (NotAnEndpoint, MethodRefused):
                continue
            assert before.url == after.url


@pytest.mark.parametrize("name", ["a%2Fb", "%2A", "{type}", "a//b", "//", "a?x=/../y", "...", "a..b"])
def test_odd_but_harmless_paths_pass(name: str) -> None:
    """Encoded slashes, literal braces, empty segments and dots that are no segment are left alone."""
    check_path(f"{PREFIX}/dl/A/B/{name}")
    assert resolve("GET", f"{PREFIX}/dl/A/B/{name}", READ).url == f"{ORIGIN}/dl/A/B/{name}"


@pytest.mark.parametrize("path", ["/", PREFIX, f"{PREFIX}/", f"{PREFIX}/other", "/o-000000000000/api/", "/api/"])
def test_other_paths_are_no_endpoints(path: str) -> None:
    """Only the paths that the Session names, behind the prefix of their origin."""
    with pytest.raises(NotAnEndpoint):
        resolve("POST", path, READ)


def test_methods_belong_to_endpoints() -> None:
    """The refusal says what the endpoint takes."""
    assert resolve("POST", f"{PREFIX}/api/", READ) == Target(Kind.API, ORIGIN, f"{ORIGIN}/api/")
    with pytest.raises(MethodRefused) as caught:
        resolve("DELETE", f"{PREFIX}/dl/A/B/n", READ)
    assert caught.value.headers() == {"Allow": "GET, HEAD"}


@pytest.mark.parametrize(
    ("path", "yes"),
    [("/.well-known/jmap", True), ("/.well-known/jmap/?x", True), ("/.well-known/jmapx", False), ("/", False)],
)
def test_the_session_has_its_place(path: str, yes: bool) -> None:
    """With and without a slash, whatever the query."""
    assert is_session_path(path) is yes


@pytest.mark.parametrize(
    ("location", "local"),
    [
        ("/dl/A/B/c?x={y}", f"{PREFIX}/dl/A/B/c?x={{y}}"),
        (f"{ORIGIN}/up/B/", f"{PREFIX}/up/B/"),
        ("https://evil.com/dl/A/B/c", None),
        ("//evil.com/dl/A/B/c", None),
        ("/elsewhere", None),
        ("/dl/A/B/../../../admin", None),
        ("", None),
        ("javascript:x", None),
    ],
)
def test_redirects_stay_inside_the_endpoints(location: str, local: str | None) -> None:
    """A location becomes a local path of an endpoint, or nothing."""
    target = Target(Kind.DOWNLOAD, ORIGIN, f"{ORIGIN}/dl/A/B/n")
    assert local_location(location, target, READ) == local


@pytest.mark.parametrize(
    ("location", "local"),
    [
        ("/dl/A/B/c", "/oidc/dl/A/B/c"),
        ("http://localhost/dl/A/B/c?x", "/oidc/dl/A/B/c?x"),
        ("http://localhost/oidc/up/B/", "/oidc/up/B/"),
        ("c", "/oidc/dl/A/B/c"),
        ("http://localhost/elsewhere", None),
        ("/../dl/A/B/c", None),
    ],
)
def test_redirects_are_forced_like_all_urls(location: str, local: str | None) -> None:
    """A server that knows neither its name nor its mount redirects to where it believes to be."""
    policy = Policy(ORIGIN, frozenset({ORIGIN}), "force", "/oidc")
    session = read_session(json.dumps(SESSION).encode(), f"{ORIGIN}/oidc/.well-known/jmap", policy)
    target = Target(Kind.DOWNLOAD, ORIGIN, f"{ORIGIN}/oidc/dl/A/B/n")
    assert local_location(location, target, session) == (local and PREFIX + local)

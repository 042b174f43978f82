import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import UpstreamMalformed, UpstreamOriginRefused
from jmap_proxy.origins import Origin, split_url
from jmap_proxy.proxy.endpoint import Kind
from jmap_proxy.proxy.session import (
    CAPABILITY_ENDPOINTS,
    CORE,
    DEFAULT_MAX_SIZE_REQUEST,
    ENDPOINTS,
    LARGEST_MAX_SIZE_REQUEST,
    Policy,
    Session,
    local_prefix,
    locate,
    read_session,
)
from tests.proxy.support import SESSION

SERVER = Origin("https", "mail.example.com", 443)
SHARD = Origin("https", "content.example.net", 443)
LOCAL = Origin("http", "localhost", 8620)
POLICY = Policy(SERVER, frozenset({SERVER, SHARD}))
URL = f"{SERVER}/jmap/session"
PATHS = st.text("ab/{}=&?.;%2F*", max_size=20)
URLS = st.builds(
    lambda origin, path: f"{origin}/{path.lstrip('/')}",
    st.sampled_from(["", str(SERVER), str(SHARD), "https://mail.example.com:443", "wss://mail.example.com"]),
    PATHS,
)


def read(document: Any, policy: Policy = POLICY) -> Session:
    """Read a document that was found at URL."""
    return read_session(json.dumps(document).encode(), URL, policy)


def shown(document: Any, policy: Policy = POLICY) -> Any:
    """The document as a client sees it."""
    return json.loads(read(document, policy).shown_at(LOCAL))


@given(st.fixed_dictionaries(dict.fromkeys(ENDPOINTS, URLS)), st.dictionaries(st.text(max_size=3), st.text()))
def test_every_url_becomes_local_and_nothing_else_changes(urls: dict[str, str], extra: dict[str, str]) -> None:
    """Templates survive byte for byte behind the prefix; the rest of the document is untouched; it is stable."""
    document = {**SESSION, **{f"x{key}": value for key, value in extra.items()}, **urls}
    seen = shown(document)
    for field, url in urls.items():
        origin, rest = locate(url, URL)
        assert seen[field] == f"{LOCAL}/{local_prefix(origin)}{rest}"
        assert url.endswith(rest)
    assert {key: value for key, value in seen.items() if key not in ENDPOINTS} == {
        key: value for key, value in document.items() if key not in ENDPOINTS
    }
    assert read(document) == read(document)


@given(
    st.sampled_from(sorted(ENDPOINTS)), st.from_regex(r"(https?:)?//[a-z]{1,5}\.evil(:[0-9]{2})?/.*", fullmatch=True)
)
def test_a_foreign_origin_is_never_an_endpoint(field: str, url: str) -> None:
    """The error names the field; nothing on a foreign origin can be asked for."""
    with pytest.raises((UpstreamOriginRefused, UpstreamMalformed), match=field):
        read({**SESSION, field: url})


def test_a_foreign_core_field_is_refused_by_name() -> None:
    """The refusal says field, origin and both ways to mend it."""
    with pytest.raises(UpstreamOriginRefused) as caught:
        read({**SESSION, "uploadUrl": "https://evil.com:8443/up/{accountId}"})
    assert "uploadUrl" in caught.value.detail
    assert "https://evil.com:8443" in caught.value.detail
    assert "upstream_origins" in caught.value.hint


def test_cyrus_is_understood() -> None:
    """Relative URLs are resolved; the WebSocket capability, which is not carried, is left out."""
    document = copy.deepcopy(SESSION)
    document["capabilities"] |= {"urn:ietf:params:jmap:websocket": {"url": "wss:/jmap/ws/"}}  # type: ignore[operator]
    session = read({**document, "apiUrl": "api?x"})
    assert json.loads(session.shown_at(LOCAL))["apiUrl"] == f"{LOCAL}/{local_prefix(SERVER)}/jmap/api?x"
    assert session.dropped == ()
    assert list(json.loads(session.document)["capabilities"]) == [CORE]


def test_james_is_forced_onto_its_server() -> None:
    """With force an advertised localhost means the configured server; without, it is not trusted."""
    document = {**SESSION, "apiUrl": "http://localhost/jmap"}
    with pytest.raises(UpstreamOriginRefused):
        read(document)
    session = read(document, Policy(SERVER, frozenset({SERVER}), "force"))
    assert {endpoint.origin for endpoint in session.endpoints} == {SERVER}


@pytest.mark.parametrize("name", CAPABILITY_ENDPOINTS)
def test_capability_endpoints_are_rewritten_in_both_places(name: str) -> None:
    """In `capabilities` and in every `accountCapabilities`; other properties stay."""
    value = {field: f"{SHARD}/{field}/{{accountId}}" for field in CAPABILITY_ENDPOINTS[name]} | {"webUrl": "https://x/"}
    document = copy.deepcopy(SESSION)
    document["capabilities"][name] = value  # type: ignore[index]
    document["accounts"] = {"A": {"accountCapabilities": {name: value}}, "B": {}, "C": None}
    seen = shown(document)
    for place in (seen["capabilities"], seen["accounts"]["A"]["accountCapabilities"]):
        for field in CAPABILITY_ENDPOINTS[name]:
            assert place[name][field] == f"{LOCAL}/{local_prefix(SHARD)}/{field}/{{accountId}}"
        assert place[name]["webUrl"] == "https://x/"


def test_a_capability_on_a_foreign_origin_is_dropped_alone() -> None:
    """The rest of the Session works, the reason is told, and no endpoint of it remains."""
    document = copy.deepcopy(SESSION)
    foreign = {"generationEndpoint": "/t", "revocationEndpoint": "https://evil.com/t"}
    document["capabilities"]["com:linagora:params:jmap:ws:ticket"] = foreign  # type: ignore[index]
    document["capabilities"]["urn:ietf:params:jmap:blob2"] = {}  # type: ignore[index]
    session = read(document)
    assert "https://evil.com" in session.dropped[0]
    assert Kind.CALL not in {endpoint.kind for endpoint in session.endpoints}
    assert list(json.loads(session.document)["capabilities"]) == [CORE, "urn:ietf:params:jmap:blob2"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("//content.example.net", f"{SHARD}/"),
        ("https://content.example.net?x={y}", f"{SHARD}/?x={{y}}"),
        ("wss:/ws/", f"{SERVER}/ws/"),
        ("up//{a}/", f"{SERVER}/jmap/up//{{a}}/"),
        ("../x/./y", f"{SERVER}/x/y"),
        ("../../..", f"{SERVER}/"),
        ("?x=1", f"{SERVER}/jmap/session?x=1"),
        ("/a//b", f"{SERVER}/a//b"),
    ],
)
def test_urls_are_resolved_as_strings(url: str, expected: str) -> None:
    """Against the Session's own URL, with empty segments and braces kept."""
    origin, rest = locate(url, URL)
    assert f"{origin}{rest}" == expected
    assert split_url(expected) == (origin, rest)


@pytest.mark.parametrize("url", ["", "a b", "\\", "/a#b", "https:x", "https://u@h/", "https://{a}.h/", "ftp://h/", "é"])
def test_odd_urls_are_malformed(url: str) -> None:
    """The error names the field."""
    with pytest.raises(UpstreamMalformed, match="apiUrl"):
        read({**SESSION, "apiUrl": url})


@pytest.mark.parametrize("body", [b"\xff", b"{", b"[]", b"{}", b'{"capabilities":[]}', b"[" * 100_000])
def test_what_is_no_session_is_malformed(body: bytes) -> None:
    """Not JSON, not an object, no capabilities, nested without end: one clear error."""
    with pytest.raises(UpstreamMalformed):
        read_session(body, URL, POLICY)


@pytest.mark.parametrize(
    ("core", "limit"),
    [({"maxSizeRequest": 5}, 5), ({"maxSizeRequest": 10**12}, LARGEST_MAX_SIZE_REQUEST)]
    + [(core, DEFAULT_MAX_SIZE_REQUEST) for core in ({}, None, {"maxSizeRequest": -1}, {"maxSizeRequest": "5"})],
)
def test_the_request_limit_is_the_servers_but_bounded(core: Any, limit: int) -> None:
    """A server that says nothing usable gets the default."""
    assert read({**SESSION, "capabilities": {CORE: core}}).max_size_request == limit


@pytest.mark.parametrize(
    ("changes", "account"),
    [({}, "A"), ({"primaryAccounts": {}}, "A"), ({"accounts": None}, ""), ({"accounts": {}}, "")],
)
def test_whose_session_it_is(changes: Any, account: str) -> None:
    """The mail account is the primary one, else any; the user name is kept."""
    session = read({**SESSION, **changes})
    assert (session.username, session.mail_account) == ("alice", account)

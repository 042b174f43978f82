import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import UpstreamMalformed, UpstreamOriginRefused
from jmap_proxy.origins import Origin, locate, parse_origin
from jmap_proxy.proxy.session.endpoint import Kind, local_prefix
from jmap_proxy.proxy.session.policy import Policy
from jmap_proxy.proxy.session.session import (
    CAPABILITY_ENDPOINTS,
    CORE,
    DEFAULT_MAX_SIZE_REQUEST,
    ENDPOINTS,
    LARGEST_MAX_SIZE_REQUEST,
    MOST_ENDPOINTS,
    MOST_REASONS,
    Session,
    read_session,
)
from tests.proxy.session.documents import (
    ALLOWED,
    FORCE,
    FOREIGN,
    FOUND,
    LOCAL,
    POLICY,
    SERVER,
    SHARD,
    URLS,
    WEBSOCKET,
    documents,
    url_fields,
    urls_at,
    without,
)
from tests.proxy.support import SESSION

FIXTURES = Path(__file__).parent / "sessions"
BLOB2 = "urn:ietf:params:jmap:blob2"
FILENODE = "urn:ietf:params:jmap:filenode"
TICKET = "com:linagora:params:jmap:ws:ticket"
DOWNLOAD_ALL = "com:linagora:params:downloadAll"


def read(document: Any, policy: Policy = POLICY) -> Session:
    """Read a document that was found at FOUND."""
    return read_session(json.dumps(document).encode(), FOUND, policy)


def shown(document: Any, policy: Policy = POLICY) -> Any:
    """The document as a client sees it."""
    return json.loads(read(document, policy).shown_at(LOCAL))


@given(documents(URLS, URLS))
def test_every_url_becomes_local_and_nothing_else_changes(document: dict[str, Any]) -> None:
    """Templates survive byte for byte behind the prefix, in every place; the rest is untouched; it is stable."""
    seen = shown(document)
    before, after = url_fields(document), url_fields(seen)
    assert before.keys() == after.keys()
    for path, url in before.items():
        origin, rest = locate(url, FOUND)
        local = str(LOCAL).replace("http", "ws") if path[-2:] == (WEBSOCKET, "url") else LOCAL
        assert after[path] == f"{local}/{local_prefix(origin)}{rest}"
        assert url.endswith(rest)
    assert without(seen, set(after)) == without(document, set(before))
    assert read(document) == read(document)


@given(documents(URLS, urls_at(*ALLOWED, *FOREIGN)), st.sampled_from([POLICY, FORCE]))
def test_no_upstream_origin_remains_where_a_client_sends_its_key(document: dict[str, Any], policy: Policy) -> None:
    """Allowed or not, by either mode; and no endpoint, to which the token goes, is on a foreign one."""
    session = read(document, policy)
    for url in url_fields(json.loads(session.shown_at(LOCAL))).values():
        assert url.startswith(("http://localhost:8620/o-", "ws://localhost:8620/o-"))
    assert all(endpoint.origin in policy.allowed for endpoint in session.endpoints)
    assert b"\0" not in session.shown_at(LOCAL)


@given(documents(URLS, urls_at(*ALLOWED, *FOREIGN)), st.sampled_from([POLICY, FORCE]))
def test_reading_is_idempotent(document: dict[str, Any], policy: Policy) -> None:
    """What was read once, with its URLs where they were found to be, is read the same again."""
    session = read(document, policy)
    seen = session.shown_at(LOCAL).decode()
    for origin in (each for each in (SERVER, SHARD) if each in policy.allowed):  # as if the server had written them so
        seen = seen.replace(f"{LOCAL}/{local_prefix(origin)}/", f"{origin}/")
        seen = seen.replace(f"ws://localhost:8620/{local_prefix(origin)}/", f"{origin}/")
    again = read_session(seen.encode(), "https://else.where.example/", policy)
    assert json.loads(again.shown_at(LOCAL)) == json.loads(session.shown_at(LOCAL))
    assert again.endpoints == session.endpoints


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


def fixture_cases() -> list[Any]:
    """For each fixture: where it was found, the policy, what must not be changed, and some URLs as they must be."""
    fastmail = "https://api.fastmail.com"
    cdn, shard, shard_cdn = (
        "https://www.fastmailusercontent.com",
        "https://phl.api.fastmail.com",
        "https://phl-www.fastmailusercontent.com",
    )
    account = ("accounts", "u1f5e4080", "accountCapabilities")
    twake = ("accounts", "29883977c13473ae7cb7678ef767cbfbaffc8a44a6e463d971d23a65c1dc4af6", "accountCapabilities")
    stalwart, cyrus, linagora = "https://mail.example.org", "https://cyrus.example.org", "https://jmap.linagora.example"
    events = "types={types}&closeafter={closeafter}&ping={ping}"
    return [
        pytest.param(
            "fastmail",
            f"{fastmail}/jmap/session",
            Policy(parse_origin(fastmail), frozenset(map(parse_origin, (fastmail, cdn, shard, shard_cdn)))),
            {
                ("apiUrl",): (fastmail, "/jmap/api/"),
                ("downloadUrl",): (cdn, "/jmap/download/{accountId}/{blobId}/{name}?type={type}"),
                ("uploadUrl",): (fastmail, "/jmap/upload/{accountId}/"),
                ("eventSourceUrl",): (shard, f"/jmap/event/?{events}"),
                (*account, BLOB2, "uploadUrl"): (shard_cdn, "/jmap/upload2/{accountId}/"),
            },
            id="fastmail",
        ),
        pytest.param(
            "stalwart",
            f"{stalwart}/jmap/session",
            Policy(parse_origin(stalwart), frozenset({parse_origin(stalwart)})),
            {
                ("apiUrl",): (stalwart, "/jmap/"),
                ("downloadUrl",): (stalwart, "/jmap/download/{accountId}/{blobId}/{name}?accept={type}"),
                ("uploadUrl",): (stalwart, "/jmap/upload/{accountId}/"),
                ("eventSourceUrl",): (stalwart, f"/jmap/eventsource/?{events}"),
                ("capabilities", WEBSOCKET, "url"): (stalwart, "/jmap/ws"),
                ("accounts", "b", "accountCapabilities", FILENODE, "webWriteUrlTemplate"): (
                    stalwart,
                    "/jmap/file/{accountId}/{id}",
                ),
            },
            id="stalwart",
        ),
        pytest.param(
            "cyrus",
            f"{cyrus}/jmap/",
            Policy(parse_origin(cyrus), frozenset({parse_origin(cyrus)})),
            {
                ("apiUrl",): (cyrus, "/jmap/"),
                ("downloadUrl",): (cyrus, "/jmap/download/{accountId}/{blobId}/{name}?accept={type}"),
                ("uploadUrl",): (cyrus, "/jmap/upload/{accountId}/"),
                ("eventSourceUrl",): (cyrus, f"/jmap/eventsource/?{events}"),
                ("capabilities", WEBSOCKET, "url"): (cyrus, "/jmap/ws/"),
            },
            id="cyrus",
        ),
        pytest.param(
            "twake",
            f"{linagora}/oidc/jmap/session",
            Policy(parse_origin(linagora), frozenset({parse_origin(linagora)}), "force", "/oidc"),
            {
                ("apiUrl",): (linagora, "/oidc/jmap"),
                ("downloadUrl",): (linagora, "/oidc/download/{accountId}/{blobId}?type={type}&name={name}"),
                ("uploadUrl",): (linagora, "/oidc/upload/{accountId}"),
                ("eventSourceUrl",): (
                    linagora,
                    "/oidc/eventSource?types={types}&closeAfter={closeafter}&ping={ping}",
                ),
                **{
                    (*place, *field): (linagora, f"/oidc{path}")
                    for place in (("capabilities",), twake)
                    for field, path in {
                        (WEBSOCKET, "url"): "/jmap/ws",
                        (TICKET, "generationEndpoint"): "/jmap/ws/ticket",
                        (TICKET, "revocationEndpoint"): "/jmap/ws/ticket",
                        (DOWNLOAD_ALL, "endpoint"): "/downloadAll/{accountId}/{emailId}?name={name}",
                    }.items()
                },
            },
            id="twake",
        ),
    ]


@pytest.mark.parametrize(("name", "url", "policy", "expected"), fixture_cases())
def test_the_sessions_of_real_servers(
    name: str, url: str, policy: Policy, expected: dict[tuple[str, ...], tuple[str, str]]
) -> None:
    """All endpoints of Fastmail, Stalwart, Cyrus and Twake Mail become local, and nothing else is touched."""
    body = (FIXTURES / f"{name}.json").read_bytes()
    session = read_session(body, url, policy)
    seen = json.loads(session.shown_at(LOCAL))
    local = {
        path: f"{'ws' if path[-2:] == (WEBSOCKET, 'url') else 'http'}://localhost:8620/"
        f"{local_prefix(parse_origin(origin))}{rest}"
        for path, (origin, rest) in expected.items()
    }
    assert url_fields(seen) == local
    assert without(seen, set(expected)) == without(json.loads(body), set(expected))
    assert session.dropped == ()


def test_values_without_urls_are_kept_byte_for_byte() -> None:
    """Even numbers and escapes that a decoder would write in another way."""
    odd = b'{"a":1.50,"b":123456789012345678901234567890,"c":"\\u00e9\\/","d":1E400, "e" : [ ]}'
    body = json.dumps(SESSION).encode()
    assert odd in read_session(body[:-1] + b',"x":' + odd + b"}", FOUND, POLICY).shown_at(LOCAL)


@pytest.mark.parametrize("server", ["https://mail.example.com", "http://127.0.0.1:8080"])
@pytest.mark.parametrize("named", ["http://localhost", "http://127.0.0.1:9000", "https://[::1]:8443", "ws://localhost"])
def test_an_advertised_localhost_is_not_trusted(server: str, named: str) -> None:
    """Even if the configuration allows it, this machine gets no token because a server elsewhere says so."""
    origin = parse_origin(server)
    body = json.dumps({**SESSION, "apiUrl": f"{named}/jmap"}).encode()
    with pytest.raises(UpstreamOriginRefused, match="apiUrl is at") as caught:
        read_session(body, f"{server}/s", Policy(origin, frozenset({origin})))
    assert 'rewrite = "force"' in caught.value.hint
    assert "upstream_origins" not in caught.value.hint
    allowing = Policy(origin, frozenset({origin, parse_origin(named)}))
    if origin.is_loopback:
        assert parse_origin(named) in {each.origin for each in read_session(body, f"{server}/s", allowing).endpoints}
    else:
        with pytest.raises(UpstreamOriginRefused):
            read_session(body, f"{server}/s", allowing)


def test_a_server_on_this_machine_is_itself() -> None:
    """What it names at its own origin is trusted."""
    here = Origin("http", "localhost", 8080)
    body = json.dumps({**SESSION, "apiUrl": "http://localhost:8080/jmap"}).encode()
    assert read_session(body, f"{here}/s", Policy(here, frozenset({here}))).endpoints


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
            scheme = "ws" if name == WEBSOCKET else "http"
            assert place[name][field] == f"{scheme}://localhost:8620/{local_prefix(SHARD)}/{field}/{{accountId}}"
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
    assert list(json.loads(session.shown_at(LOCAL))["capabilities"]) == [CORE, BLOB2]


def test_a_bad_capability_of_an_account_is_dropped_there() -> None:
    """With the reason, which names the account; what is no capability object is left alone."""
    document = copy.deepcopy(SESSION)
    document["accounts"] = {
        "A\n": {"accountCapabilities": {BLOB2: {"uploadUrl": "https://evil.com/{accountId}"}, TICKET: "odd"}},
        "B": {"accountCapabilities": {BLOB2: {"uploadUrl": 5}}},
        "C": {"accountCapabilities": []},
    }
    session = read(document)
    accounts = json.loads(session.shown_at(LOCAL))["accounts"]
    assert accounts == {
        "A\n": {"accountCapabilities": {TICKET: "odd"}},
        "B": {"accountCapabilities": {}},
        "C": {"accountCapabilities": []},
    }
    assert [
        f"accounts.{key}.accountCapabilities.{BLOB2}.uploadUrl" in session.dropped[at]
        for at, key in enumerate(["A?", "B"])
    ]
    assert "\n" not in session.dropped[0]


def test_what_stands_twice_is_shown_once() -> None:
    """A client that takes the first of two equal keys must not find what the proxy has not read."""
    evil = f'"accountCapabilities":{{"{BLOB2}":{{"uploadUrl":"https://evil.com/"}}}}'
    body = json.dumps(SESSION).replace('"accountCapabilities": {}', evil + ',"accountCapabilities": {}')
    assert "evil.com" in body
    assert b"evil.com" not in read_session(body.encode(), FOUND, POLICY).shown_at(LOCAL)


def test_a_ticket_is_revoked_below_its_endpoint() -> None:
    """As Twake Mail documents it: DELETE of the endpoint, a slash and the ticket."""
    document = copy.deepcopy(SESSION)
    document["capabilities"][TICKET] = {"generationEndpoint": "/ws/ticket", "revocationEndpoint": "/ws/ticket"}  # type: ignore[index]
    paths = {each.kind: each for each in read(document).endpoints}
    assert paths[Kind.CALL].matches("/ws/ticket")
    assert paths[Kind.REVOCATION].matches("/ws/ticket/0b9f")
    assert not paths[Kind.REVOCATION].matches("/ws/other")


def many_accounts(number: int, capability: Any) -> dict[str, Any]:
    """A Session of so many accounts."""
    accounts = {f"A{i}": {"accountCapabilities": {BLOB2: capability(i)}} for i in range(number)}
    return {**SESSION, "accounts": accounts}


def test_accounts_that_name_the_same_share_an_endpoint() -> None:
    """However many they are."""
    session = read(many_accounts(3000, lambda _: {"uploadUrl": "/up2/{accountId}"}))
    assert len(session.endpoints) == len(ENDPOINTS) + 1
    assert session.dropped == ()


def test_endpoints_are_bounded() -> None:
    """Of a server that names more, the first are had, and what the log is told stays short."""
    session = read(many_accounts(MOST_ENDPOINTS + 100, lambda i: {"uploadUrl": f"/up2/{i}"}))
    assert len(session.endpoints) == MOST_ENDPOINTS
    assert len(session.dropped) == MOST_REASONS + 1
    assert session.dropped[-1] == "and 84 more"


def test_urls_do_not_grow_without_end() -> None:
    """A one-letter FOUND becomes as long as that of the Session; all together are bounded."""
    base = f"{SERVER}/{'x' * 7000}/"
    body = json.dumps(many_accounts(5000, lambda _: {"uploadUrl": "y"})).encode()
    session = read_session(body, base, POLICY)
    assert len(session.shown_at(LOCAL)) < 20 << 20
    assert session.dropped


def test_a_url_that_no_server_takes_is_malformed() -> None:
    """Its length is bounded."""
    with pytest.raises(UpstreamMalformed, match="apiUrl: longer"):
        read({**SESSION, "apiUrl": "/" + "x" * 8000})


@pytest.mark.parametrize("url", ["", "a b", "\\", "/a#b", "https:x", "https://u@h/", "https://{a}.h/", "ftp://h/", "é"])
def test_odd_urls_are_malformed(url: str) -> None:
    """The error names the field."""
    with pytest.raises(UpstreamMalformed, match="apiUrl"):
        read({**SESSION, "apiUrl": url})


@pytest.mark.parametrize(
    "body",
    [
        *(b"\xff", b"{", b"[]", b"{}", b'{"capabilities":[]}', b"[" * 100_000),
        json.dumps({**SESSION, "x": "ODD"}).encode().replace(b"ODD", b"\xff"),
        json.dumps({**SESSION, "x": "ODD"}).encode().replace(b"ODD", b"\0h"),  # it would look like a mark
    ],
)
def test_what_is_no_session_is_malformed(body: bytes) -> None:
    """Not JSON, not an object, no capabilities, nested without end: one clear error."""
    with pytest.raises(UpstreamMalformed):
        read_session(body, FOUND, POLICY)


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

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.wire.headers import HOP_BY_HOP, SAFE_FOR_BROWSERS, Field, to_client, to_upstream

BAD_UPSTREAM = [
    "Authorization",
    "Auth-User",
    "CF-Connecting-IP",
    "Client-Cert",
    "Content-Length",
    "Cookie",
    "Expect",
    "Forwarded",
    "Host",
    "Proxy",
    "Referer",
    "Remote-User",
    "Sec-Fetch-Mode",
    "SSL-Client-Verify",
    "Tailscale-User-Login",
    "True-Client-IP",
    "Via",
    "X-Authentik-Username",
    "X-Client-Cert",
    "X-Forwarded-For",
    "X-Forwarded-User",
    "X-Goog-Authenticated-User-Email",
    "X-HTTP-Method-Override",
    "X-JMAP-Prefix",
    "X-Original-URL",
    "X-Real-IP",
    "X-Remote-User",
    "X-Rewrite-URL",
    "X-User",
    "X-UserName",
]
BAD_DOWNSTREAM = [
    "Access-Control-Allow-Origin",
    "Alt-Svc",
    "Clear-Site-Data",
    "Content-Length",
    "Location",
    "Service-Worker-Allowed",
    "Set-Cookie",
    "Strict-Transport-Security",
    "WWW-Authenticate",
    "X-Accel-Redirect",
]
KEPT_UPSTREAM = [
    ("Accept", "application/json;jmapVersion=rfc-8621"),
    ("Accept-Encoding", "gzip"),
    ("Accept-Language", "de"),
    ("CF-Access-Client-Id", "x"),
    ("Content-Type", "message/rfc822"),
    ("If-None-Match", '"e"'),
    ("Last-Event-ID", "7"),
    ("Range", "bytes=0-1"),
    ("User-Agent", "meli"),
    ("X-A", "1"),
    ("x-a", "2"),
]
KEPT_DOWNSTREAM = [
    ("Cache-Control", "private, immutable"),
    ("Content-Disposition", "attachment"),
    ("Content-Encoding", "gzip"),
    ("Content-Range", "bytes 0-1/2"),
    ("ETag", '"e"'),
    ("Retry-After", "17"),
    ("Vary", "Accept-Encoding"),
]


def _in_any_spelling(name: str) -> st.SearchStrategy[str]:
    """The name in any case, its hyphens as they are or as a mark that CGI-like servers take for one."""
    letters = [st.sampled_from("-_." if letter == "-" else letter.lower() + letter.upper()) for letter in name]
    return st.tuples(*letters).map("".join)


NAMES = st.sampled_from(
    [*HOP_BY_HOP, *BAD_UPSTREAM, *BAD_DOWNSTREAM, "Accept", "If-None-Match", "X-Named", "Content-Type", "a_b"]
).flatmap(_in_any_spelling)
ANY_NAME = st.text("abcXYZ019-_.!~", min_size=1)
VALUES = st.sampled_from(["close", "keep-alive, X-Named", "Content-Type,accept", "authorization, HOST ,content-length"])
FIELDS = st.lists(st.tuples(NAMES | ANY_NAME, VALUES | st.text("abc-_, ")))


def _named(fields: list[Field]) -> set[str]:
    return {word.strip().lower() for name, value in fields if name.lower() == "connection" for word in value.split(",")}


def _names(fields: list[Field]) -> set[str]:
    return {name.lower() for name, _ in fields}


@given(FIELDS)
def test_nothing_misleading_goes_upstream(fields: list[Field]) -> None:
    """No hop-by-hop or Connection-named field, credential or claim of a gateway survives, in no spelling."""
    kept = _names(to_upstream(fields))
    assert not kept & (HOP_BY_HOP | {name.lower() for name in BAD_UPSTREAM} | _named(fields))
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in kept)
    assert not any(name.startswith(("x-forwarded-", "sec-", "x-user", "x-jmap-")) for name in kept)


@given(FIELDS)
def test_nothing_of_the_servers_own_host_goes_to_the_client(fields: list[Field]) -> None:
    """No challenge, cookie, HSTS, Alt-Svc or CORS field reaches the client; the browser guards are always there."""
    kept = to_client(fields)
    assert not _names(kept) & (HOP_BY_HOP | {name.lower() for name in BAD_DOWNSTREAM})
    assert not _names(kept) & (_named(fields) - {name.lower() for name, _ in SAFE_FOR_BROWSERS})
    assert all(kept.count(field) == 1 for field in SAFE_FOR_BROWSERS)


@given(FIELDS)
def test_filtering_twice_changes_nothing(fields: list[Field]) -> None:
    """Both filters are idempotent, and keep the order of what they keep."""
    assert to_upstream(to_upstream(fields)) == to_upstream(fields)
    assert to_client(to_client(fields)) == to_client(fields)


def test_end_to_end_fields_are_kept_as_they_are() -> None:
    """What is between client and server passes, doubled fields and odd case included."""
    assert to_upstream(KEPT_UPSTREAM) == KEPT_UPSTREAM
    assert to_client(KEPT_DOWNSTREAM) == [*KEPT_DOWNSTREAM, *SAFE_FOR_BROWSERS]


@pytest.mark.parametrize("named", ["X-Up", "x-up", "close, X-UP", " ,,x-up\t"])
def test_connection_names_fields_of_its_own_hop_only(named: str) -> None:
    """What the peer names is gone, however it is written; an empty name means nothing."""
    assert to_upstream([("X-Up", "1"), ("Connection", named), ("X-Down", "2")]) == [("X-Down", "2")]

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.headers import HOP_BY_HOP, SAFE_FOR_BROWSERS, to_client, to_upstream

BAD_UPSTREAM = ["Authorization", "Cookie", "Host", "X-Forwarded-For", "X_User", "X-User", "Remote-User", "Forwarded"]
BAD_DOWNSTREAM = ["Set-Cookie", "Alt-Svc", "Strict-Transport-Security", "WWW-Authenticate", "Location"]
BAD_DOWNSTREAM += ["Access-Control-Allow-Origin", "Content-Length"]
NAMES = st.sampled_from(
    [*HOP_BY_HOP, *BAD_UPSTREAM, *BAD_DOWNSTREAM, "Accept", "If-None-Match", "X-Named", "Content-Type", "a_b"]
)
VALUES = st.sampled_from(["close", "keep-alive, X-Named", "Content-Type,accept", "x"])
FIELDS = st.lists(st.tuples(NAMES, VALUES))


def _named(fields: list[tuple[str, str]]) -> set[str]:
    return {word.strip().lower() for name, value in fields if name.lower() == "connection" for word in value.split(",")}


@given(FIELDS)
def test_nothing_misleading_goes_upstream(fields: list[tuple[str, str]]) -> None:
    """No hop-by-hop or Connection-named field, credential, forwarding claim or underscore survives."""
    kept = {name.lower() for name, _ in to_upstream(fields)}
    assert not kept & (HOP_BY_HOP | {name.lower() for name in BAD_UPSTREAM} | _named(fields))
    assert not any("_" in name or name.startswith(("x-forwarded-", "sec-")) for name in kept)


@given(FIELDS)
def test_nothing_of_the_servers_own_host_goes_to_the_client(fields: list[tuple[str, str]]) -> None:
    """No challenge, cookie, HSTS, Alt-Svc or CORS field reaches the client; the browser guards are always there."""
    kept = to_client(fields)
    assert not {name.lower() for name, _ in kept} & (HOP_BY_HOP | {name.lower() for name in BAD_DOWNSTREAM})
    assert set(SAFE_FOR_BROWSERS) <= set(kept)


@given(FIELDS)
def test_filtering_twice_changes_nothing(fields: list[tuple[str, str]]) -> None:
    """Both filters are idempotent, and keep the order of what they keep."""
    assert to_upstream(to_upstream(fields)) == to_upstream(fields)
    assert to_client(to_client(fields)) == to_client(fields)


def test_end_to_end_fields_are_kept_as_they_are() -> None:
    """What is between client and server passes, doubled fields and odd case included."""
    fields = [("ACCEPT", "application/json;jmapVersion=rfc-8621"), ("X-A", "1"), ("x-a", "2")]
    assert to_upstream(fields) == fields
    assert to_client(fields) == [*fields, *SAFE_FOR_BROWSERS]

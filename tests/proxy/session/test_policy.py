import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.origins import AllowedOrigins, Origin, parse_origin
from jmap_proxy.proxy.session.policy import Policy, mount_of

SERVER = Origin("https", "mail.example.com", 443)
SHARD = Origin("https", "content.example.net", 443)
HERE = Origin("http", "localhost", 80)
RESTS = st.text("/ab{}?=&o.", max_size=20).map(lambda rest: "/" + rest)
MOUNTS = st.sampled_from(["", "/oidc", "/a/b", "//x"])


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/.well-known/jmap", ""),
        ("/oidc/.well-known/jmap", "/oidc"),
        ("/oidc/.well-known/jmap/", "/oidc"),
        ("/a/b/jmap/session?x=/jmap", "/a/b"),
        ("/jmap/session", ""),
        ("/jmap/", ""),
        ("/oidc/jmap", "/oidc"),
        ("/jmap/jmap/session", "/jmap"),
        ("/session", ""),
        ("/oidc/", ""),
        ("/.well-known/jmap/x", ""),
        ("/oidc/xjmap", ""),
        ("", ""),
    ],
)
def test_the_mount_is_seen_from_the_sessions_path(path: str, mount: str) -> None:
    """It is what stands before the places where servers have their Session; of others nothing is said."""
    assert mount_of(path) == mount


@given(RESTS, MOUNTS)
def test_nothing_is_moved_when_mapped(rest: str, mount: str) -> None:
    """Whatever the mount."""
    assert Policy(SERVER, frozenset({SERVER}), "map", mount).place(SHARD, rest) == (SHARD, rest)


@given(RESTS, MOUNTS)
def test_everything_is_below_the_mount_when_forced(rest: str, mount: str) -> None:
    """At the server, moved once at most, with path and query as they were."""
    policy = Policy(SERVER, frozenset({SERVER}), "force", mount)
    origin, placed = policy.place(HERE, rest)
    path = placed.partition("?")[0]
    assert origin == SERVER
    assert placed in (rest, mount + rest)
    assert path == mount or path.startswith(f"{mount}/")
    assert policy.place(origin, placed) == (origin, placed)


def test_a_path_that_only_looks_like_the_mount_is_moved() -> None:
    """The mount is compared by whole segments, without the query."""
    policy = Policy(SERVER, frozenset({SERVER}), "force", "/oidc")
    assert policy.place(HERE, "/oidc2/api") == (SERVER, "/oidc/oidc2/api")
    assert policy.place(HERE, "/api?/oidc/") == (SERVER, "/oidc/api?/oidc/")
    assert policy.place(HERE, "/oidc?x") == (SERVER, "/oidc?x")


@pytest.mark.parametrize("named", ["http://localhost", "http://127.0.0.7:9000", "https://[::1]", "https://localhost"])
def test_this_machine_is_trusted_only_by_servers_on_it(named: str) -> None:
    """Whatever the configuration allows; and what it does not allow is trusted by none."""
    origin = parse_origin(named)
    here = Origin("http", "127.0.0.1", 8080)
    assert not Policy(SERVER, frozenset({SERVER, origin})).trusts(origin)
    assert Policy(here, frozenset({here, origin})).trusts(origin)
    assert not Policy(here, frozenset({here})).trusts(origin)
    assert Policy(here, frozenset({here})).trusts(here)


def test_the_hint_does_not_lead_into_the_trap() -> None:
    """Nobody is told to allow localhost."""
    policy = Policy(SERVER, frozenset({SERVER}))
    assert "upstream_origins" in policy.hint_against(SHARD)
    assert "upstream_origins" not in policy.hint_against(HERE)
    assert 'rewrite = "force"' in policy.hint_against(HERE)


@pytest.mark.parametrize("named", ["https://localhost", "https://127.0.0.1", "https://evil.net", "https://example.com"])
def test_a_pattern_trusts_what_it_covers_only(named: str) -> None:
    """A server that names one below is believed; neither this machine nor the name itself comes in by a pattern."""
    policy = Policy(SERVER, AllowedOrigins.of(SERVER, ["https://*.example.com"]))
    assert policy.trusts(SERVER)
    assert policy.trusts(parse_origin("https://phl.api.example.com"))
    assert not policy.trusts(parse_origin(named))


def test_the_hint_names_one_origin_and_no_pattern() -> None:
    """Who follows it allows what the server named, and not its neighbours."""
    policy = Policy(SERVER, AllowedOrigins.of(SERVER, ["https://*.example.com"]))
    assert 'add "https://content.example.net" to' in policy.hint_against(SHARD)
    assert "*" not in policy.hint_against(SHARD)

"""Any Sessions, for the tests of what is made of them: strategies, and the places of their URLs."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from jmap_proxy.origins import Origin
from jmap_proxy.proxy.session.policy import Policy
from jmap_proxy.proxy.session.session import CAPABILITY_ENDPOINTS, CORE, ENDPOINTS

SERVER = Origin("https", "mail.example.com", 443)
SHARD = Origin("https", "content.example.net", 443)
LOCAL = Origin("http", "localhost", 8620)
POLICY = Policy(SERVER, frozenset({SERVER, SHARD}))
FORCE = Policy(SERVER, frozenset({SERVER}), "force", "/oidc")
FOUND = f"{SERVER}/jmap/session"
WEBSOCKET = "urn:ietf:params:jmap:websocket"
PATHS = st.text("ab/{}=&?.;%2F*\"'", max_size=20)
ALLOWED = [
    "",
    str(SERVER),
    str(SHARD),
    "https://mail.example.com:443",
    "wss://mail.example.com",
    "//content.example.net",
]
FOREIGN = ["https://evil.example", "http://mail.example.com", "https://mail.example.com:8443", "http://localhost"]


def urls_at(*origins: str) -> st.SearchStrategy[str]:
    """URLs and templates at these origins; relative ones at "", and one as Cyrus writes it."""
    absolute = st.builds(lambda origin, path: f"{origin}/{path.lstrip('/')}", st.sampled_from(origins), PATHS)
    return absolute | PATHS.map(lambda path: f"wss:/{path.lstrip('/')}") if "" in origins else absolute


URLS = urls_at(*ALLOWED)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text()
    | st.sampled_from(["https://mail.example.com/x", 1e3]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def capabilities(draw: st.DrawFn, urls: st.SearchStrategy[str]) -> dict[str, Any]:
    """Capabilities with and without endpoints, known and unknown."""
    names = draw(st.lists(st.sampled_from(sorted(CAPABILITY_ENDPOINTS)), unique=True))
    known = {name: {field: draw(urls) for field in CAPABILITY_ENDPOINTS[name]} | {"x": draw(JSON)} for name in names}
    return {**draw(st.dictionaries(st.text(max_size=5), JSON, max_size=2)), CORE: {}, **known}


@st.composite
def documents(draw: st.DrawFn, urls: st.SearchStrategy[str], further: st.SearchStrategy[str]) -> dict[str, Any]:
    """Sessions whose core endpoints are from `urls`, those of capabilities from `further`."""
    accounts = {
        key: draw(JSON) if draw(st.booleans()) else {"name": key, "accountCapabilities": draw(capabilities(further))}
        for key in draw(st.lists(st.text(max_size=3), unique=True, max_size=3))
    }
    return {
        **{f"x{key}": draw(JSON) for key in draw(st.lists(st.text(max_size=3), max_size=2))},
        "capabilities": draw(capabilities(further)),
        "accounts": accounts,
        "username": draw(st.text(max_size=5)),
        "state": draw(st.text(max_size=5)),
        **{field: draw(urls) for field in ENDPOINTS},
    }


def url_fields(document: Any) -> dict[tuple[str, ...], str]:
    """Every URL that a client may send its key to, by its path of keys."""
    found: dict[tuple[str, ...], str] = {(field,): document[field] for field in ENDPOINTS}
    holders: dict[tuple[str, ...], Any] = {("capabilities",): document["capabilities"]}
    for key, account in document["accounts"].items():
        if isinstance(account, dict) and isinstance(account.get("accountCapabilities"), dict):
            holders["accounts", key, "accountCapabilities"] = account["accountCapabilities"]
    for path, holder in holders.items():
        for name, fields in CAPABILITY_ENDPOINTS.items():
            value = holder.get(name)
            if isinstance(value, dict):
                found |= {(*path, name, field): value[field] for field in fields if field in value}
    return found


def without(document: Any, paths: set[tuple[str, ...]]) -> Any:
    """The document with those values blanked."""
    document = copy.deepcopy(document)
    for *holders, field in paths:
        place = document
        for key in holders:
            place = place[key]
        place[field] = None
    return document

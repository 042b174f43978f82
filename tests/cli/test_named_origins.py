from __future__ import annotations

import json

import pytest

from jmap_proxy.cli.named_origins import MOST, named_origins
from jmap_proxy.sandbox.session_object import session_object
from jmap_proxy.sandbox.shapes import cyrus, fastmail, stalwart, twake

URL = "https://api.example.com/jmap/session"


def test_every_kind_of_endpoint_counts() -> None:
    """Core ones and those of capabilities, by server and by account."""
    session = {
        "apiUrl": "/jmap",
        "downloadUrl": "https://content.example.com/{blobId}",
        "uploadUrl": "https://api.example.com/up/{accountId}",
        "eventSourceUrl": "//events.example.com:8443/?types={types}",
        "capabilities": {"urn:ietf:params:jmap:websocket": {"url": "wss://push.example.com/ws"}},
        "accounts": {
            "a": {"accountCapabilities": {"urn:ietf:params:jmap:blob2": {"uploadUrl": "https://up2.example.com/"}}}
        },
    }
    assert list(map(str, named_origins(json.dumps(session).encode(), URL))) == [
        "https://content.example.com",
        "https://events.example.com:8443",
        "https://push.example.com",
        "https://up2.example.com",
    ]


def test_known_servers() -> None:
    """Fastmail's shape has three further hosts, James's says localhost, the others have none."""
    hosts = {name: f"https://{name}.example.com" for name in ("usercontent", "usercontent-shard", "api-shard")}

    def named(settings: object) -> list[str]:
        session = session_object("alice", "https://api.example.com", settings, hosts)  # type: ignore[arg-type]
        return [str(origin) for origin in named_origins(json.dumps(session).encode(), URL)]

    assert sorted(named(fastmail())) == sorted(hosts.values())
    assert named(twake()) == ["http://localhost"]
    assert named(stalwart()) == named(cyrus()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"apiUrl": 1, "accounts": {"a": 1}, "capabilities": 1}',
        b'{"apiUrl": "ftp://x", "uploadUrl": "a b"}',
        b'{"capabilities": {"urn:ietf:params:jmap:websocket": 1}, "accounts": {"a": {"accountCapabilities": 1}}}',
    ],
)
def test_what_cannot_be_read_names_nothing(body: bytes) -> None:
    """The check of the Session tells what is wrong with it."""
    assert named_origins(body, URL) == ()


def test_there_is_a_limit() -> None:
    """No Session fills the configuration."""
    accounts = {
        str(number): {
            "accountCapabilities": {"urn:ietf:params:jmap:blob2": {"uploadUrl": f"https://h{number}.example/"}}
        }
        for number in range(100)
    }
    assert len(named_origins(json.dumps({"accounts": accounts}).encode(), URL)) == MOST

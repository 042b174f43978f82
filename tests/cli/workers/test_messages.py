from __future__ import annotations

import msgspec
import pytest

from jmap_proxy.cli.workers.messages import FromWorker, Prepared, TakeUp, Told, ToWorker, Unable
from jmap_proxy.config import parse_config
from jmap_proxy.errors import KeyRefused
from jmap_proxy.status.traffic import Traffic
from jmap_proxy.tokens.outcome import Refreshed
from jmap_proxy.tokens.report import State, TokenReport

CONFIG = """
[listen]
hosts = ["mail.lan"]
[accounts.alice]
server = "https://mail.example.com"
issuer = "https://sso.example.com"
client_id = "jmap-proxy"
scopes = ["openid"]
keep_alive = 2.5
[accounts."bob@example.com"]
server = "https://api.fastmail.com/jmap/session"
client_id = "x"
issuer = "https://sso.example.com"
[hooks]
on_sign_in_needed = ["notify-send", "é"]
"""


def test_a_configuration_comes_whole() -> None:
    """Equal in all, so that a worker finds the same changes as the supervisor."""
    config = parse_config(CONFIG)
    message = TakeUp(config, ("http", "account-bob@example.com"))
    assert msgspec.json.decode(msgspec.json.encode(message), type=ToWorker) == message


def test_what_a_worker_tells_comes_whole() -> None:
    """Reports, streams and counts."""
    traffic = Traffic(lambda: 60_000.0)
    traffic.answered("api", 200, 0.01)
    traffic.refreshed("alice", Refreshed("a-token", "r-token", 60.0))
    traffic.failed("alice", KeyRefused("wrong"), "abc")
    told = Told({"alice": TokenReport(state=State.UNSAVED)}, (("alice", "events", 3),), traffic.hand_over())
    raw = msgspec.json.encode(told)
    assert msgspec.json.decode(raw, type=FromWorker) == told
    assert b"-token" not in raw


@pytest.mark.parametrize("message", [Prepared(), Unable("it cannot", "mend it", is_config=True)])
def test_the_others(message: Prepared | Unable) -> None:
    """Are told apart by their names."""
    assert msgspec.json.decode(msgspec.json.encode(message), type=FromWorker) == message

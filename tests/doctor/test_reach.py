from __future__ import annotations

import socket
import ssl

import pytest

from jmap_proxy.doctor.reach import Place, reach
from jmap_proxy.origins import parse_origin
from tests.support.scripted_server import Scripted

TRUST = ssl.create_default_context()


def _place(url: str) -> Place:
    return Place(parse_origin(url), "accounts.alice.server", "alice")


async def test_a_server_that_can_be_reached_is_sent_nothing() -> None:
    """A connection is enough."""
    async with Scripted() as server:
        assert await reach(_place(server.origin), TRUST, 10) is None
        assert server.paths == []


async def test_a_name_server_that_does_not_answer_is_told() -> None:
    """By then the question may still be open."""
    finding = await reach(_place("https://localhost"), TRUST, 0)
    assert finding is not None
    assert finding.code == "dns-slow"


@pytest.mark.parametrize("host", ["x" * 64, "no..name"])
async def test_a_name_that_no_name_server_takes_is_told(host: str) -> None:
    """Without asking one."""
    finding = await reach(_place(f"https://{host}"), TRUST, 10)
    assert finding is not None
    assert finding.code == "dns"


async def test_a_server_that_says_nothing_is_told() -> None:
    """It takes the connection, and does not shake hands."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        finding = await reach(_place(f"https://127.0.0.1:{mute.getsockname()[1]}"), TRUST, 0.5)
    assert finding is not None
    assert (finding.code, finding.what.endswith("does not answer within 0.5 s")) == ("unreachable", True)

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli.workers.bound import SPREADS, Bound

if TYPE_CHECKING:
    from aiohttp import web

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="SO_REUSEPORT spreads connections there alone")


async def nobody(_request: web.BaseRequest) -> web.StreamResponse:
    """Nobody is answered here."""
    raise AssertionError


@pytest.fixture(params=[pytest.param(True, marks=LINUX), False])
async def bound(request: pytest.FixtureRequest) -> Bound:
    """Give one for three places, with and without sockets of their own."""
    return Bound(3, spreads=request.param)


def port_of(origin: str) -> int:
    """Of an origin."""
    return int(origin.rpartition(":")[2])


async def test_connections_come_in_at_each_place(bound: Bound) -> None:
    """Before anybody serves them; there is one port, and after the end nobody listens."""
    origin = await bound.open("127.0.0.1", 0)
    assert origin.startswith("http://127.0.0.1:")
    for place in range(3):
        assert {each.getsockname()[1] for each in bound.sockets(place)} == {port_of(origin)}
    with socket.create_connection(("127.0.0.1", port_of(origin))):
        await bound.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(origin)))


async def test_a_port_that_is_taken(bound: Bound) -> None:
    """Is an error, also where another one listens that would share it."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        with pytest.raises(OSError, match="in use"):
            await bound.open("127.0.0.1", taken.getsockname()[1])
        await bound.close()


async def test_ipv6(bound: Bound) -> None:
    """Is shown in brackets."""
    assert (await bound.open("::1", 0)).startswith("http://[::1]:")
    await bound.close()


async def test_a_place_that_is_given_up(bound: Bound) -> None:
    """Gets no connections until its sockets are asked for again; those that all share stay."""
    port = port_of(await bound.open("127.0.0.1", 0))
    own = bound.sockets(0)
    bound.give_up(0)
    bound.give_up(1)
    for _ in range(8):  # all of them come to the only place that is left
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = bound.sockets(2)[0].accept()
            accepted.close()
    assert all(each.getsockname()[1] == port for each in bound.sockets(0))
    assert (bound.sockets(0) == own) is (not bound._spreads)
    await bound.close()


async def test_a_socket_that_is_open_already(bound: Bound) -> None:
    """Is shared by all, and given up by none."""
    handed = socket.socket()
    handed.bind(("127.0.0.1", 0))
    await bound.open_socket(handed)
    bound.give_up(0)
    assert [bound.sockets(place) for place in range(3)] == [[handed]] * 3
    with socket.create_connection(handed.getsockname()):
        pass
    await bound.close()
    assert handed.fileno() < 0


def test_where_connections_are_spread() -> None:
    """On Linux."""
    assert SPREADS is (os.uname().sysname == "Linux")

"""Unmodified clients hear of changes through the proxy, by event source and by WebSocket."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.certificate import Certificate
    from tests.e2e.cyrus import Cyrus
    from tests.e2e.place import Place
    from tests.e2e.proxy import Proxy

    Listen = Callable[..., Listener]

EVENT_SOURCE = ("jmapc_events", "jmaplib_events")
WEBSOCKET = "jmaplib_websocket"
_AT_ONCE = 10.0  # seconds, on a busy machine


@pytest.fixture
def listen(folder: Path, certificate: Certificate) -> Listen:
    """Makes a listener by its script."""
    return partial(Listener, certificate=certificate, folder=folder)


@pytest.mark.parametrize("script", EVENT_SOURCE)
def test_a_change_comes_by_event_source(script: str, place: Place, listen: Listen) -> None:
    """Mail that changes by another way is heard of on the stream, once."""
    with listen(script, proxy=place.proxy) as listener:
        listener.wait_for("opened")
        place.change()
        listener.hear_of_mail()
        place.change()
        listener.hear_of_mail()
        assert listener.said("opened") == [200]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_change_comes_by_websocket(scheme: str, place: Place, listen: Listen) -> None:
    """Requests are answered, and mail that changes by another way is pushed, over one connection."""
    with listen(WEBSOCKET, proxy=place.proxy, secure=scheme == "wss") as listener:
        assert listener.wait_for("answered") == [place.mailboxes]
        place.change()
        listener.hear_of_mail()
        assert listener.wait_for("answered", 2) == [place.mailboxes] * 2
        assert listener.said("opened") == [101]


def test_what_is_open_outlives_the_token(place: Place, listen: Listen) -> None:
    """Streams and WebSocket opened with a token of five seconds still bring changes three tokens later, unbroken.

    Cyrus lets them go on; the sandbox ends an event stream rather than tell something to a token that is spent.
    """
    with ExitStack() as stack:
        streams = [stack.enter_context(listen(script, proxy=place.proxy)) for script in EVENT_SOURCE]
        socket = stack.enter_context(listen(WEBSOCKET, proxy=place.proxy))
        for listener in streams:
            listener.wait_for("opened")
        socket.wait_for("answered")
        place.change()
        for listener in (*streams, socket):
            listener.hear_of_mail()
        place.proxy.outlive_tokens(3)
        place.change()
        for listener in (*streams, socket):
            listener.hear_of_mail()
            assert len(listener.said("opened")) == 1
        assert socket.wait_for("answered", 3) == [place.mailboxes] * 3


def test_event_streams_survive_a_server_that_drops_them(cyrus: Cyrus, proxy: Proxy, listen: Listen) -> None:
    """The processes that serve the streams die: the clients see no break, and hear of each change once.

    The change before is nearly always one that they did not come to tell, as they look for changes once a second.
    """
    with ExitStack() as stack:
        streams = [stack.enter_context(listen(script, proxy=proxy)) for script in EVENT_SOURCE]
        for listener in streams:
            listener.wait_for("opened")
        for drop in (_nothing, cyrus.drop, _nothing):
            cyrus.change()
            drop()
            for listener in streams:
                listener.hear_of_mail()
                assert listener.said("opened") == [200]


def _nothing() -> None:
    pass


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_websocket_ends_with_its_server(scheme: str, cyrus: Cyrus, proxy: Proxy, listen: Listen) -> None:
    """The process that serves it dies: the client is told at once, so that it can connect anew."""
    with listen(WEBSOCKET, proxy=proxy, secure=scheme == "wss") as listener:
        listener.wait_for("answered")
        cyrus.drop()
        assert listener.program.wait(_AT_ONCE) == 1
        assert "TransportError" in listener.program.said()

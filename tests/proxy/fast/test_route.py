from __future__ import annotations

import pytest

from jmap_proxy.proxy.fast.route import Route
from tests.proxy.fast.support import BODY, head_of, world
from tests.proxy.support import KEY


async def test_a_route_does_not_show_what_is_secret() -> None:
    """Neither the local key, which stands in its head, nor the head that the server gets, nor the token."""
    async with world() as here:
        route = here.known_route()
        crossing = here.must_begin(route)
        shown = "".join(map(repr, (route, route.head, route.prepared, crossing, crossing.begun, crossing.passage)))
        shown += "".join(map(str, (route, route.visitor, route.plane, route.target)))
        assert not hasattr(route, "__dict__")
        assert await here.client.heard() == "answer"
        shown += repr(route.answer)
        assert route.answer is not None
    assert "Route" in shown
    assert KEY not in shown
    assert "good" not in shown
    assert "Authorization" not in shown


async def test_it_is_known_again_by_its_head() -> None:
    """And its answer is not known yet."""
    async with world() as here:
        route = here.known_route()
        head = head_of(here.path)
        assert route.head.start_of_body(head + BODY) == len(head)
        assert not route.head.start_of_body(head.replace(KEY.encode(), b"another-key..") + BODY)
        assert route.answer is None


@pytest.mark.parametrize(
    "change",
    [
        (b"Content-Length", b"X-Length"),
        (b"Host", b"Content-Length: 12\r\nHost"),
        (b"Host: localhost\r\n", b"Host: localhost\n"),
        (b"localhost\r\n", b"localhost\r\n folded\r\n"),
        (b"\r\n\r\n", b"\r\n"),
    ],
    ids=["no length", "two lengths", "bare LF", "folded line", "no end"],
)
async def test_there_is_none_for_a_head_that_cannot_be_known(change: tuple[bytes, bytes]) -> None:
    """The lane says then that there is none."""
    async with world() as here:
        known = here.known_route()
        odd = head_of(here.path).replace(*change)
        with pytest.raises(ValueError, match="not"):
            Route(here.lane, odd, known.visitor, known.plane, known.session, known.target, known.prepared)
        assert here.route(head=odd) is None

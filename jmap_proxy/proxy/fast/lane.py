"""The fast way in by a listener: for API calls about which nothing is new since the last one of their connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from aiohttp.http import HttpVersion11

from jmap_proxy.errors import JmapProxyError
from jmap_proxy.proxy.fast.crossing import Crossing
from jmap_proxy.proxy.fast.route import Route
from jmap_proxy.proxy.passage import Passage, log_tells_of_each
from jmap_proxy.proxy.session.endpoint import Kind
from jmap_proxy.proxy.session.target import check_path, resolve
from jmap_proxy.proxy.wire.framing import check_framing, is_last
from jmap_proxy.proxy.wire.headers import to_upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from jmap_proxy.proxy.door.door import Door
    from jmap_proxy.proxy.fast.crossing import CarryOn, Client
    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.passage import Observer

SMALL = 64 << 10
"""Bytes of a body that is sent in one go; a socket takes as many at once."""

API = Kind.API.value

log = structlog.get_logger("jmap_proxy.proxy")


class Lane:
    """Begins calls that need not wait for anything.

    Args:
        door: Who may come in.
        planes: By account; looked up for each call.
        observer: Is told of the calls.
        carry_on: Answers a call that has been begun in the ordinary way.
    """

    __slots__ = ("_carry_on", "_door", "_observer", "_planes")

    def __init__(self, door: Door, planes: Mapping[str, Plane], observer: Observer, carry_on: CarryOn) -> None:
        self._door = door
        self._planes = planes
        self._observer = observer
        self._carry_on = carry_on

    def route(self, request: web.BaseRequest, head: bytes) -> Route | None:
        """What is decided about an API call by its head; None for whatever else it is, and for what is refused."""
        fields = request.headers
        if request.method != "POST" or request.version != HttpVersion11 or is_last(fields) or "Expect" in fields:
            return None
        try:
            check_framing(request.method, request.version, fields)
            visitor = self._door.enter(request)
            check_path(request.raw_path)
            plane = self._planes.get(visitor.account)
            session = None if plane is None else plane.sessions.latest
            if plane is None or session is None or not (visitor.key or "Authorization" not in fields):
                return None
            target = resolve(request.method, request.raw_path, session)
            if target.kind is not Kind.API:
                return None
            prepared = plane.exchange.prepare(request.method, target.url, to_upstream(fields.items()))
            return None if prepared is None else Route(self, head, visitor, plane, session, target, prepared)
        except (JmapProxyError, ValueError):
            return None  # the ordinary way says why
        except Exception:  # nothing has been sent, so that the ordinary way can have its try
            log.exception("unforeseen error")
            return None

    def begin(self, route: Route, body: bytes, client: Client) -> Crossing | None:
        """Send a call on; None, and nothing is sent, where the ordinary way has to decide or to wait.

        Args:
            route: By this lane, of the call's head.
            body: All of it; the ordinary way sends an empty one without its length.
            client: Gets the answer.
        """
        passage = Passage(self._observer)
        passage.kind, passage.account = API, route.visitor.account
        crossing = Crossing(route, passage, client, self._carry_on)
        try:
            if not self._holds(route, len(body)):
                return None
        except JmapProxyError:
            return None  # the ordinary way says why
        except Exception:  # nothing has been sent, so that the ordinary way can have its try
            log.exception("unforeseen error")
            return None
        try:
            begun = route.plane.exchange.begin(route.prepared, body, crossing)
        except (JmapProxyError, ValueError):  # ValueError: a token that cannot be encoded
            return None
        if begun is None:
            return None
        crossing.begun = begun  # nothing is heard before the loop's next round
        route.plane.uses.begin()
        return crossing

    def _holds(self, route: Route, length: int) -> bool:
        """Whether a route can be taken now by a call with so many bytes. Raises JmapProxyError."""
        visitor, plane = route.visitor, route.plane
        return (
            0 < length <= min(SMALL, route.session.max_size_request)
            and plane.sessions.latest is route.session
            and self._planes.get(visitor.account) is plane
            and (not visitor.key or self._door.account_of(visitor.key) == visitor.account)
            and not log_tells_of_each()  # by the id that a request has from its task
        )

"""A lane that notes which way calls go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.proxy.fast.lane import Lane

if TYPE_CHECKING:
    from aiohttp import web

    from jmap_proxy.proxy.fast.crossing import Client, Crossing
    from jmap_proxy.proxy.fast.route import Route

FAST, CARRIED_ON = "fast", "carried on"


class NotingLane(Lane):
    """A lane like another one.

    Args:
        lane: The other one.
        ways: Where it notes; a list of its own if there is none.

    Attributes:
        ways: `FAST` for each call that it has begun, then `CARRIED_ON` where that has gone on in the ordinary way.
    """

    __slots__ = ("ways",)

    def __init__(self, lane: Lane, ways: list[str] | None = None) -> None:
        noted = self.ways = [] if ways is None else ways

        async def carry_on(request: web.BaseRequest, crossing: Crossing) -> web.StreamResponse:
            noted.append(CARRIED_ON)
            return await lane._carry_on(request, crossing)

        super().__init__(lane._door, lane._planes, lane._observer, carry_on)

    @property
    def begun(self) -> int:
        """How many calls it has begun."""
        return self.ways.count(FAST)

    @property
    def carried(self) -> int:
        """How many of them have gone on in the ordinary way."""
        return self.ways.count(CARRIED_ON)

    def begin(self, route: Route, body: bytes, client: Client) -> Crossing | None:
        """Note it where something was sent."""
        crossing = super().begin(route, body, client)
        if crossing is not None:
            self.ways.append(FAST)
        return crossing

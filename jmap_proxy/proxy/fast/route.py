"""What is decided about an API call by its head alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.proxy.wire.known_head import KnownHead

if TYPE_CHECKING:
    from jmap_proxy.proxy.door.access import Visitor
    from jmap_proxy.proxy.fast.known_answer import KnownAnswer
    from jmap_proxy.proxy.fast.lane import Lane
    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.session.session import Session
    from jmap_proxy.proxy.session.target import Target
    from jmap_proxy.proxy.upstream.direct import Prepared


class Route:
    """The way of API calls with one head. Not a dataclass: a repr would show the local key.

    Attributes:
        lane: By which they come.
        head: Of the calls.
        visitor: Who they are from.
        plane: Forwards the account's requests.
        session: By which the target was found.
        target: Where they go.
        prepared: What the server gets for their heads.
        answer: The answer that came last, if it can be known again.
    """

    __slots__ = ("answer", "head", "lane", "plane", "prepared", "session", "target", "visitor")

    def __init__(
        self,
        lane: Lane,
        head: bytes,
        visitor: Visitor,
        plane: Plane,
        session: Session,
        target: Target,
        prepared: Prepared,
    ) -> None:
        self.lane = lane
        self.head = KnownHead(head)
        self.visitor = visitor
        self.plane = plane
        self.session = session
        self.target = target
        self.prepared = prepared
        self.answer: KnownAnswer | None = None

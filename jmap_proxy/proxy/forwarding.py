"""A request on its way, and what it meets there: the values that all kinds of forwarding take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmap_proxy.proxy.timing import Timing
from jmap_proxy.proxy.uses import Uses

if TYPE_CHECKING:
    from aiohttp import web

    from jmap_proxy.proxy.door.access import Visitor
    from jmap_proxy.proxy.passage import Passage
    from jmap_proxy.proxy.session.session import Session
    from jmap_proxy.proxy.session.sessions import Sessions
    from jmap_proxy.proxy.session.target import Target
    from jmap_proxy.proxy.upstream.exchange import Begun, Exchange


@dataclass(frozen=True, slots=True)
class Plane:
    """What forwards the requests of one account.

    Attributes:
        uses: The requests that are on their way by it.
    """

    exchange: Exchange
    sessions: Sessions
    uses: Uses = field(default_factory=Uses)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the forwarding plane.

    Attributes:
        upload_replay: Bytes of an upload that are kept for a second try.
        body_idle: Seconds that a client may be silent in the middle of a request body.
        spool_folder: Where uploads are kept, best on a disk; "" for the system's folder of temporary files.
        stream_head: Seconds in which the server must begin to answer with events; some do only when they have one.
        stream_silence: Seconds that a server may be silent in any case, however often it means to send pings.
        timing: How time goes by for event streams.
    """

    upload_replay: int = 256 << 20
    body_idle: float = 60.0
    spool_folder: str = ""
    stream_head: float = 120.0
    stream_silence: float = 10.0
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """One request on its way.

    Attributes:
        request: The client's.
        visitor: Who it is from.
        plane: Forwards the account's requests.
        session: The account's Session, by which `target` was found.
        target: Where it goes.
        bounds: What it may cost.
        passage: Is told when its answer begins.
        begun: Where it has been sent on already.
    """

    request: web.BaseRequest
    visitor: Visitor
    plane: Plane
    session: Session
    target: Target
    bounds: Bounds
    passage: Passage
    begun: Begun | None = None

"""The event source (RFC 8620 §7.3): whole events, as they come, in one stream that outlives those of the server.

Servers end their streams when tokens expire, when they are restarted, when nothing happens. The client is not to see
that: the server is asked again, with a fresh token and the last event id, and its next stream is joined on. The
client's stream ends with the client, the sign-in or the proxy, or when the server says that asking again is no use.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import aiohttp
import structlog
from aiohttp import web

from jmap_proxy.errors import (
    JmapProxyError,
    TokenDelayed,
    UpstreamBusy,
    UpstreamMalformed,
    UpstreamSlow,
    UpstreamUnreachable,
)
from jmap_proxy.proxy.events.reconnect import Tries
from jmap_proxy.proxy.events.splice import Splice
from jmap_proxy.proxy.relay import answer_fields, relay
from jmap_proxy.proxy.upstream.exchange import STREAM, Call
from jmap_proxy.proxy.wire.headers import to_upstream
from jmap_proxy.retry_after import parse_retry_after

if TYPE_CHECKING:
    from jmap_proxy.proxy.forwarding import Forwarding
    from jmap_proxy.proxy.upstream.sender import Answer

IDENTITY = ("Accept-Encoding", "identity")
"""Events are asked for uncompressed (measured: Cyrus mislabels them)."""

PASSING = frozenset({HTTPStatus.OK, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""Answers without events that do not last, besides 5xx."""

PASSING_ERRORS = (TokenDelayed, UpstreamBusy, UpstreamMalformed, UpstreamSlow, UpstreamUnreachable)

MISSED_PINGS = 3
"""Pings that may be missing before the server counts as gone."""

KEEP_ALIVE = 15.0
"""Seconds without the server after which the client gets a comment, so that one that has gone is noticed."""

EVENTS = "text/event-stream"

COMMENT = b":\n"

UNTOLD = 5.0
"""Seconds without the server in which a change is taken not to have been missed, where no event id can ask for it."""

log = structlog.get_logger("jmap_proxy.proxy")


class CloseDelimitedResponse(web.StreamResponse):
    """A response whose end is the end of the connection (RFC 9112 §6.3): neither a length nor chunks.

    For event streams: a client that reads below the chunked coding cuts events in two otherwise (measured: jmapc).
    """

    _length_check = False  # aiohttp's own, made for WebSockets: without it, it adds no Transfer-Encoding

    def __init__(self) -> None:
        super().__init__()
        self.force_close()


async def forward_events(forwarding: Forwarding) -> web.StreamResponse:
    """Ask for the events and pass them on. Raises JmapProxyError."""
    stream = _Stream(forwarding)
    other = await stream.begin()
    if other is not None:
        return other
    while stream.goes_on:
        await stream.wait()
        await stream.resume()
    return await stream.end()


class _Stream:
    """A client's stream, and what it is joined together from.

    Attributes:
        goes_on: Whether the server is to be asked again.
    """

    __slots__ = (
        "_closes_after_state",
        "_down",
        "_forwarding",
        "_lived",
        "_lost_at",
        "_response",
        "_retry_after",
        "_splice",
        "_tries",
        "goes_on",
    )

    def __init__(self, forwarding: Forwarding) -> None:
        self.goes_on = True
        self._forwarding = forwarding
        self._response = CloseDelimitedResponse()
        self._splice = Splice()
        self._tries = Tries()
        self._closes_after_state = closes_after_state(forwarding.target.url)
        self._lived = 0.0
        self._lost_at = 0.0
        self._down = 0.0
        self._retry_after: float | None = None

    async def begin(self) -> web.StreamResponse | None:
        """Pass on what the server tells; an answer that is no stream of events is given back. Raises JmapProxyError."""
        forwarding, head = self._forwarding, self._forwarding.bounds.stream_head
        try:
            async with asyncio.timeout(head) as limit, forwarding.plane.exchange.send(self._call()) as upstream:
                limit.reschedule(None)
                if upstream.status != HTTPStatus.OK or not _is_events(upstream):
                    return await relay(forwarding, upstream)
                self._response.headers.extend(answer_fields(upstream.headers, forwarding.visitor))
                forwarding.passage.answer(upstream.status)
                await self._response.prepare(forwarding.request)
                await self._pass_on(upstream, limit)
        except TimeoutError:
            if not self._response.prepared:
                raise UpstreamSlow(str(forwarding.target.origin), head) from None
        return None

    async def wait(self) -> None:
        """Wait until the server is to be asked again."""
        timing, splice = self._forwarding.bounds.timing, self._splice
        left = self._tries.wait(self._lived, timing.jitter(), news=splice.news, retry_after=self._retry_after)
        while left > 0:
            step = min(left, KEEP_ALIVE - self._down)
            await timing.sleep(step)
            left -= step
            self._down += step
            if self._down >= KEEP_ALIVE:
                await self._response.write(COMMENT)
                self._down = 0.0

    async def resume(self) -> None:
        """Ask the server again, and pass on what it tells."""
        self._splice.resume()
        self._lived, self._retry_after = 0.0, None
        forwarding, head = self._forwarding, self._forwarding.bounds.stream_head
        try:
            async with asyncio.timeout(head) as limit, forwarding.plane.exchange.send(self._call()) as upstream:
                limit.reschedule(None)
                if upstream.status == HTTPStatus.OK and _is_events(upstream):
                    await self._join_on(upstream, limit)
                else:
                    self._take_refusal(upstream)
        except TimeoutError:
            pass  # the server was silent, which is a break like others
        except PASSING_ERRORS as error:
            self._retry_after = error.retry_after
        except JmapProxyError as error:
            self._give_up(error.code)

    async def end(self) -> web.StreamResponse:
        """End the client's stream."""
        await self._response.write_eof()
        return self._response

    async def _join_on(self, upstream: Answer, limit: asyncio.Timeout) -> None:
        """Pass on what the next stream tells, unless changes may have been missed between the two.

        A server that has set no event id cannot be asked for them; a client that connects again asks for what is new.
        """
        known = self._splice.last_id or self._forwarding.request.headers.get("Last-Event-ID")
        if not known and self._forwarding.bounds.timing.clock() - self._lost_at > UNTOLD:
            self._give_up("changes may have been missed")
            return
        await self._pass_on(upstream, limit)

    async def _pass_on(self, upstream: Answer, limit: asyncio.Timeout) -> None:
        """Pass the events on until the server ends its stream or breaks off; `limit` ends a silence that is too long.

        Thousands of clients wait here, so that few frames and timers lie below.
        """
        clock, self._down = self._forwarding.bounds.timing.clock, 0.0
        began = clock()
        try:
            while chunk := await upstream.content.readany():
                limit.reschedule(None)
                if events := self._splice.feed(chunk):
                    await self._response.write(events)
                limit.reschedule(self._silent_until())
        except ConnectionResetError:  # the client has left
            raise
        except aiohttp.ClientError:
            pass  # the server has broken off
        finally:
            self._lost_at = clock()
            self._lived = self._lost_at - began
            stated = self._closes_after_state and self._splice.stated
            self.goes_on = self._splice.can_resume and not stated

    def _take_refusal(self, upstream: Answer) -> None:
        """A refusal that lasts ends the client's stream; when the client asks again, it is told why.

        200 with something else than events is a gateway's page while the server is away.
        """
        status = upstream.status
        if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            now = self._forwarding.bounds.timing.now()
            self._retry_after = parse_retry_after(upstream.headers.get("Retry-After"), now)
        else:
            self._give_up(str(status))

    def _give_up(self, reason: str) -> None:
        log.info("event stream ended", path=self._forwarding.target.url.partition("?")[0], reason=reason)
        self.goes_on = False

    def _silent_until(self) -> float | None:
        """The loop's time at which the server counts as gone, None if it has not promised any pings."""
        if not self._splice.interval:
            return None
        seconds = max(self._forwarding.bounds.stream_silence, MISSED_PINGS * self._splice.interval)
        return asyncio.get_running_loop().time() + seconds

    def _call(self) -> Call:
        """The client's request, but for the event id if the server has set one."""
        fields, known = to_upstream(self._forwarding.request.headers.items()), self._splice.last_id
        own = {"accept-encoding"} if known is None else {"accept-encoding", "last-event-id"}
        kept = [(name, value) for name, value in fields if name.lower() not in own]
        resumed = [("Last-Event-ID", known)] if known else []
        return Call("GET", self._forwarding.target.url, [*kept, IDENTITY, *resumed], timeout=STREAM)


def closes_after_state(url: str) -> bool:
    """Whether the server is asked to end the stream after a `state` event (RFC 8620 §7.3).

    Servers name the parameter as they like (James: `closeAfter`).
    """
    query = parse_qsl(url.partition("?")[2])
    return any(name.lower() == "closeafter" and value == "state" for name, value in query)


def _is_events(upstream: Answer) -> bool:
    """Whether the answer can be read as events; how it is framed makes no difference, nor does a type left out."""
    media_type = upstream.headers.get("Content-Type", EVENTS).partition(";")[0].strip().lower()
    coding = upstream.headers.get("Content-Encoding", "identity").strip().lower()
    return media_type == EVENTS and coding in {"", "identity"}

"""An API call that has been sent on, from there to its answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import structlog

from jmap_proxy.errors import UpstreamMalformed, unforeseen
from jmap_proxy.proxy.fast.known_answer import KnownAnswer, is_plain
from jmap_proxy.proxy.relay import answer_fields
from jmap_proxy.proxy.wire.framing import check_answer
from jmap_proxy.proxy.wire.known_head import END
from jmap_proxy.proxy.wire.problem import problem_bytes
from jmap_proxy.request_id import begin_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from jmap_proxy.proxy.fast.route import Route
    from jmap_proxy.proxy.passage import Passage
    from jmap_proxy.proxy.upstream.exchange import Begun

    CarryOn = Callable[[web.BaseRequest, "Crossing"], Awaitable[web.StreamResponse]]

log = structlog.get_logger("jmap_proxy.proxy")


class Client(Protocol):
    """The connection that a call came by."""

    def can_answer(self) -> bool:
        """Whether it may be answered by a connection that goes on."""

    def answer(self, data: bytes) -> None:
        """Send the answer: the call has come to its end."""

    def carry_on(self) -> None:
        """Let a request be made of the call, to be answered by `Crossing.carry_on`."""

    def fail(self, data: bytes) -> None:
        """Send the last answer of this connection, and end it; that closes the crossing."""


class Crossing:
    """A call on its way. It ends by its answer or by `close`.

    Args:
        route: Of the call.
        passage: Is told when the answer begins.
        client: Gets the answer.
        carry_on: Answers in the ordinary way.

    Attributes:
        route: As above.
        passage: As above.
        begun: What was sent; set by who sends it.
    """

    __slots__ = ("_carry_on", "_client", "_is_over", "begun", "passage", "route")

    begun: Begun

    def __init__(self, route: Route, passage: Passage, client: Client, carry_on: CarryOn) -> None:
        self.route = route
        self.passage = passage
        self._client = client
        self._carry_on = carry_on
        self._is_over = False

    def heard(self, data: bytes) -> None:
        """See `Asker`. What is not one whole plain answer goes on in the ordinary way, with what has come of it."""
        try:
            known = self.route.answer
            answer = known.for_client(data) if known is not None and self._client.can_answer() else None
            answer = answer or self._learn(data)
            if answer is None:
                self._client.carry_on()
            else:
                self._answer(answer)
        except Exception as error:  # nobody else would tell the client
            begin_request()  # what is heard is heard for whoever opened the connection to the server
            log.exception("unforeseen error")
            told = unforeseen(error)
            self._client.fail(problem_bytes(told))
            self.passage.fail(told)
            self.passage.answer(told.status)

    async def carry_on(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer in the ordinary way."""
        return await self._carry_on(request, self)

    def close(self) -> None:
        """Give up what has not come yet."""
        self.begun.sent.close()
        self._end()

    def _answer(self, data: bytes) -> None:
        self.begun.sent.answered()
        self._end()
        self.passage.answer(HTTPStatus.OK)
        self._client.answer(data)

    def _learn(self, data: bytes) -> bytes | None:
        """Let the parser read and the rules decide. Returns the answer to the client, None if it is not plain."""
        connection = self.begun.sent.connection
        if not data or connection is None:
            return None
        connection.parse(data)
        message = connection.whole_answer()
        if message is None or not self._client.can_answer():
            return None
        start = data.find(END) + len(END)
        headers = message.headers
        if not is_plain(message, headers, len(data) - start):
            return None
        try:
            check_answer(message.version, message.code, message.reason, headers)
            known = KnownAnswer(data[:start], message.reason, answer_fields(headers, self.route.visitor))
        except (UpstreamMalformed, ValueError):
            return None
        answer = known.for_client(data)
        if answer is not None:
            self.route.answer = known
        return answer

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self.route.plane.uses.end()

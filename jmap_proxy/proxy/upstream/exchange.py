"""One request to the JMAP server: with a valid token, and once more with another one if that is refused.

The token is added here and nowhere else, and only to a request for an allowed origin. aiohttp's exceptions are
translated here.

No upload waits for the server's own 100 Continue: aiohttp would wait for ever at a server that never sends one, many
gateways send it before the server has seen the token, and a 401 in the middle of an upload is mended by the spool.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from jmap_proxy.errors import TokenDelayed, UpstreamOriginRefused, UpstreamSilent, UpstreamSlow, UpstreamUnreachable
from jmap_proxy.origins import Origin, parse_origin
from jmap_proxy.proxy.upstream.sender import Sender
from jmap_proxy.proxy.wire.framing import check_answer, has_control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Container

    from jmap_proxy.errors import UpstreamError
    from jmap_proxy.proxy.source import TokenSource
    from jmap_proxy.proxy.upstream.body import Body
    from jmap_proxy.proxy.upstream.connections import Asker
    from jmap_proxy.proxy.upstream.direct import Prepared, Sent
    from jmap_proxy.proxy.upstream.sender import Answer
    from jmap_proxy.proxy.wire.headers import Field

REPEATABLE = frozenset({"GET", "HEAD"})
"""Methods of requests that change nothing, so that a client may be told to send them again (RFC 9110 §9.2.1)."""

STREAM = aiohttp.ClientTimeout(total=None)
"""For streams that may be silent for long."""

PROMPT = aiohttp.ClientTimeout(total=30)
"""Seconds for what is small: the Session."""

ANSWERED = aiohttp.ClientTimeout(total=None, sock_read=120)
"""Seconds from the request to the answer, and from one piece of the answer to the next."""

LEAST = 0.2
"""Seconds that each step gets beyond the time that is left for all of them, and so however late it is.

A token source with the same patience ends first, and its errors say more."""


def end_of_step(due: float, now: float) -> float:
    """When a step that begins now is given up, if all steps are to be done by `due`. Pure."""
    return max(due, now) + LEAST


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it is to be sent, but for the token.

    Attributes:
        timeout: Its `connect` is the exchange's.
        prompt: Whether the answer's head must come in time too; only for what can be asked again.
        begun: Where it has been sent already.
    """

    method: str
    url: str
    fields: list[Field] = field(repr=False)
    body: Body | None = None
    timeout: aiohttp.ClientTimeout = ANSWERED
    prompt: bool = False
    begun: Begun | None = None


class Begun:
    """A request that was sent by `Exchange.begin`. Not a dataclass: a repr would show the token.

    Attributes:
        sent: The request.
        token: The token that it bears.
    """

    __slots__ = ("sent", "token")

    def __init__(self, sent: Sent, token: str) -> None:
        self.sent = sent
        self.token = token


class Sending:
    """A call as a context. A class, since a stream has one for as long as it lasts: a generator is larger."""

    __slots__ = ("_answer", "_call", "_exchange")

    def __init__(self, exchange: Exchange, call: Call) -> None:
        self._exchange = exchange
        self._call = call

    async def __aenter__(self) -> Answer:
        self._answer = await self._exchange.ask(self._call)
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        self._answer.close()


class Exchange:
    """Sends one account's requests.

    Args:
        http: Session without cookies, environment proxies or decompression; its maker owns it.
        source: Gives the tokens.
        allowed: Origins that may get the token.
        first_byte: Seconds in which tokens and the connection must be there, and a prompt call's answer.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        source: TokenSource,
        allowed: Container[Origin],
        *,
        first_byte: float = 4.0,
    ) -> None:
        self.first_byte = first_byte
        self._sender = Sender(http)
        self._source = source
        self._allowed = allowed
        self._now = asyncio.get_running_loop().time  # to ask for the loop each time is a system call (Python 3.11)

    async def see_token(self) -> None:
        """See that there is a token, before a client is asked for a body. Raises TokenError."""
        await self._in_time(self._due(), self._source.ensure_valid_token())

    def send(self, call: Call) -> Sending:
        """As `ask`, as a context: the answer is closed when it ends."""
        return Sending(self, call)

    async def ask(self, call: Call) -> Answer:
        """The server's answer, never a 401; the caller closes it.

        Raises:
            TokenError: there is no token; nothing was sent.
            UpstreamOriginRefused: the URL is on an origin that may not get the token; nothing was sent.
            UpstreamUnreachable: no connection, or it broke before the answer.
            UpstreamSlow: no connection in time, so that nothing was sent, or no answer to what can be asked again.
            UpstreamSilent: no answer to what may have changed something.
            UpstreamRefusedToken: 401 also with the second token.
            UpstreamMalformed: the answer's head is ambiguous.
        """
        self._check_origin(call.url)
        answer = await self._send_with_retry(call)
        try:
            check_answer(answer.version or (1, 1), answer.status, answer.reason or "", answer.headers)
        except BaseException:
            answer.close()
            raise
        return answer

    def prepare(self, method: str, url: str, fields: list[Field]) -> Prepared | None:
        """What requests have in common that are to be sent by `begin`; None where all go the way of `ask`.

        Raises:
            UpstreamOriginRefused: as `ask`.
            ValueError: a control character in the head.
        """
        self._check_origin(url)
        return self._sender.prepare(method, url, fields)

    def begin(self, prepared: Prepared, body: bytes, asker: Asker) -> Begun | None:
        """Send a request at once; None, and nothing is sent, where a token or a connection is to be waited for.

        Args:
            prepared: By this exchange.
            body: All of it.
            asker: Is told when the answer begins to come; a 401 as well.
        """
        token = self._source.token_now()
        if token is None or has_control((token,)):
            return None
        rest = b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (token.encode(), len(body), body)
        sent = self._sender.begin(prepared, rest, ANSWERED.sock_read, asker)
        return None if sent is None else Begun(sent, token)

    def _check_origin(self, url: str) -> None:
        origin = parse_origin(url)
        if origin not in self._allowed or not origin.is_safe_for_secrets:
            raise UpstreamOriginRefused(f"{origin} may not get the token", hint="see the account's upstream_origins")

    async def _send_with_retry(self, call: Call) -> Answer:
        due = self._due()
        if call.begun is None:
            token = self._source.token_now() or await self._in_time(due, self._source.ensure_valid_token())
            left = due - self._now()
            response = await self._send(call, token, due)
        else:
            token, left = call.begun.token, self.first_byte
            response = await self._answer(call, call.begun.sent.answer(), due)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        response.close()
        if not call.prompt:
            due = self._now() + left  # the server's time does not count, nor that of a client that sends an upload
        token = await self._in_time(due, self._source.replace_rejected(token))
        if call.body is not None and not await call.body.can_replay():
            raise TokenDelayed(
                "the server refused the token in the middle of an upload that is too large to be sent again",
                hint="send it again, the token is fresh now; limits.upload_replay sets the size",
                retry_after=1,
            )
        response = await self._send(call, token, due)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        response.close()
        raise self._source.refused_again(token)

    async def _send(self, call: Call, token: str, due: float) -> Answer:
        fields = [*call.fields, ("Authorization", f"Bearer {token}")]
        now = self._now()
        end = end_of_step(due, now)
        times = aiohttp.ClientTimeout(total=call.timeout.total, connect=end - now, sock_read=call.timeout.sock_read)
        return await self._answer(call, self._sender.request(call.method, call.url, fields, call.body, times), end)

    async def _answer(self, call: Call, sending: Awaitable[Answer], end: float) -> Answer:
        try:
            if not call.prompt:
                return await sending
            async with asyncio.timeout_at(end):
                return await sending
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ValueError) as error:
            # ValueError: by it aiohttp tells a field with control characters, and idna a host that it cannot encode
            raise self._translate(error, call) from None

    def _due(self) -> float:
        return self._now() + self.first_byte

    async def _in_time(self, due: float, token: Awaitable[str]) -> str:
        """The token, if it comes in time. The source's refresh goes on without those who wait for it."""
        try:
            async with asyncio.timeout_at(end_of_step(due, self._now())):
                return await token
        except TimeoutError:
            raise TokenDelayed(
                "the identity provider has not given a token in time", hint="try again", retry_after=2
            ) from None

    def _translate(self, error: Exception, call: Call) -> UpstreamError:
        """What the client is told; the exception's own text is left out, since it can hold header fields."""
        origin = str(parse_origin(call.url))
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
            return UpstreamUnreachable(
                f"{origin}: the TLS certificate is not good", hint="for a private CA set the account's ca_file"
            )
        if isinstance(error, TimeoutError):
            harmless = call.method in REPEATABLE or isinstance(error, aiohttp.ConnectionTimeoutError)
            return UpstreamSlow(origin, self.first_byte) if harmless else UpstreamSilent(origin)
        return UpstreamUnreachable(f"{origin}: {type(error).__name__}", hint="check the server and the network")

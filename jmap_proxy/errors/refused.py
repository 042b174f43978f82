"""Errors of clients: who may not come in, and what nobody here can answer."""

from __future__ import annotations

from typing import Any

from jmap_proxy.errors.base import JmapProxyError


class Refused(JmapProxyError):
    """The client's request is not let in."""

    code = "refused"
    title = "Refused"
    status = 403


class HostRefused(Refused):
    """Host is missing, doubled or not a name of this proxy (DNS rebinding)."""

    code = "host-refused"
    title = "This Host is not served here"
    status = 421


class OriginRefused(Refused):
    """The request comes from a web page."""

    code = "origin-refused"
    title = "Web pages may not use this proxy"
    status = 403


class KeyRefused(Refused):
    """No local key, or a wrong one. The only reason for a 401 towards a client."""

    code = "key-refused"
    title = "The local key is missing or wrong"
    status = 401

    def headers(self) -> dict[str, str]:
        """The challenge: Basic first, since clients that look at the first one only all know it."""
        return {"WWW-Authenticate": 'Basic realm="jmap-proxy", charset="UTF-8", Bearer realm="jmap-proxy"'}


class PeerRefused(Refused):
    """The program at the other end of the Unix socket is another user's."""

    code = "peer-refused"
    title = "Another user's program may not use this socket"


class BadPath(Refused):
    """The request target is ambiguous (dot segments, absolute form, forbidden characters)."""

    code = "bad-path"
    title = "The request target is not acceptable"
    status = 400


class RequestMalformed(Refused):
    """The bytes are not HTTP/1.1 (RFC 9112) that everybody would understand in the same way."""

    code = "request-malformed"
    title = "The request is malformed"
    status = 400

    def __init__(self, detail: str = "the request is not well-formed HTTP") -> None:
        super().__init__(detail, hint="see what the client sends; tls to an http port?")


class HeadTimeout(Refused):
    """The head of a request did not come whole in time (RFC 9110 §15.5.9)."""

    code = "head-timeout"
    title = "The request did not arrive in time"
    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the head of the request took longer than {seconds:g} seconds", hint="limits.head sets this")


class ExpectationRefused(Refused):
    """Expect asks for something else than 100-continue (RFC 9110 §15.5.18)."""

    code = "expectation-refused"
    title = "Expectation failed"
    status = 417

    def __init__(self) -> None:
        super().__init__("Expect may only be 100-continue")


class CodingRefused(Refused):
    """A transfer coding besides chunked (RFC 9112 §6.1)."""

    code = "coding-refused"
    title = "This transfer coding is not understood"
    status = 501

    def __init__(self) -> None:
        super().__init__("Transfer-Encoding may only be chunked", hint="send the body with Content-Length, or chunked")


class VersionRefused(Refused):
    """Neither HTTP/1.1 nor HTTP/1.0 (RFC 9110 §15.6.6)."""

    code = "version-refused"
    title = "HTTP version not supported"
    status = 505

    def __init__(self) -> None:
        super().__init__("only HTTP/1.1 and HTTP/1.0 are served here", hint="set the client to HTTP/1.1")


class TooManyConnections(Refused):
    """All places for connections are taken, and requests are being answered on all of them."""

    code = "too-many-connections"
    title = "Too many connections"
    status = 503

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} connections are being served already", hint="limits.connections sets this", retry_after=1
        )


class NotAnEndpoint(Refused):
    """The path is under no endpoint that the server's Session names."""

    code = "not-an-endpoint"
    title = "Not a JMAP endpoint"
    status = 404


class MethodRefused(Refused):
    """The endpoint does not take this method."""

    code = "method-refused"
    title = "Method not allowed"
    status = 405

    def __init__(self, method: str, allowed: frozenset[str]) -> None:
        super().__init__(f"{method} is not for this endpoint", hint=f"use {' or '.join(sorted(allowed))}")
        self.allowed = allowed

    def headers(self) -> dict[str, str]:
        """Allow is required with a 405 (RFC 9110 §15.5.6)."""
        return {"Allow": ", ".join(sorted(self.allowed))}


class UpgradeNeeded(Refused):
    """A request at a WebSocket endpoint that is no handshake of RFC 6455 (RFC 9110 §15.5.22, RFC 6455 §4.2.2)."""

    code = "upgrade-needed"
    title = "This endpoint is for WebSockets"
    status = 426

    def headers(self) -> dict[str, str]:
        """What to upgrade to, which is required with a 426, and the version."""
        return {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


class HandshakeMalformed(Refused):
    """A WebSocket handshake that cannot be accepted, or that does not offer the subprotocol `jmap` (RFC 8887 §3)."""

    code = "handshake-malformed"
    title = "The WebSocket handshake cannot be accepted"
    status = 400


class BodyTooLarge(Refused):
    """A JMAP API request is larger than the server's maxSizeRequest (RFC 8620 §3.6.1)."""

    code = "limit"
    title = "The request is too large"
    status = 413

    def __init__(self, limit: int) -> None:
        detail = f"the request body is larger than {limit} bytes, the server's maxSizeRequest"
        super().__init__(detail, hint="split the request into smaller ones")

    def problem(self) -> dict[str, Any]:
        """The problem as the server itself would tell it (RFC 8620 §3.6.1)."""
        return super().problem() | {"type": "urn:ietf:params:jmap:error:limit", "limit": "maxSizeRequest"}


class BodyTimeout(Refused):
    """The client stopped in the middle of a request body (RFC 9110 §15.5.9)."""

    code = "body-timeout"
    title = "The request did not arrive in time"
    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing of the request body came for {seconds:g} seconds", hint="send the request again")

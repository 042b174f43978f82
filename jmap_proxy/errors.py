"""The one tree of errors: each has a code, an HTTP status, an exit code and a hint that names the mend.

    JmapProxyError
    ├── ConfigError                 the configuration file is wrong
    │   └── AddressTaken            somebody else listens there now
    ├── StoreError                  a file of the state folder cannot be used
    ├── ServiceError                the platform does not start the proxy by itself
    ├── WorkerError                 a process that serves has ended, or does not answer
    ├── ProviderError               the identity provider's metadata or keys cannot be used
    │   └── AnswerLost              it may have acted, but its answer did not come whole
    ├── DiscoveryError              what a sign-in needs to know of the server was not found; nothing was saved
    │   └── ServerUnreachable       nothing that can be used answers there
    ├── SignInError                 a sign-in did not succeed; nothing was saved
    │   └── WrongPerson             somebody else signed in than was named
    ├── TokenError                  there is no token to forward the request with
    │   ├── SignInNeeded            only the user can mend it
    │   ├── ClientRefused           the provider does not accept the client; carries Retry-After
    │   └── TokenDelayed            it mends itself; carries Retry-After
    ├── Refused                     the client may not come in, or asked for what there is not
    │   ├── HostRefused, OriginRefused, KeyRefused, PeerRefused
    │   ├── RequestMalformed, ExpectationRefused, CodingRefused, VersionRefused
    │   ├── HeadTimeout, TooManyConnections
    │   ├── BadPath, NotAnEndpoint, MethodRefused
    │   ├── UpgradeNeeded, HandshakeMalformed
    │   └── BodyTooLarge, BodyTimeout
    └── UpstreamError               the JMAP server
        ├── UpstreamUnreachable     no connection, or the connection broke
        ├── UpstreamBusy            it cannot answer just now; carries Retry-After
        ├── UpstreamSlow            no answer in time, and nothing is done; carries Retry-After
        ├── UpstreamSilent          no answer at all, and what it has done is not known
        ├── UpstreamRefusedToken    it refuses even a fresh token
        ├── UpstreamOriginRefused   it names an origin that may not get the token
        └── UpstreamMalformed       its answer is not what RFC 8620 asks for
            └── UpstreamSessionRefused  it answers the request for its Session with an error

Foreign exceptions are translated into these once, where the foreign library is called. No message, hint or
attribute ever holds a token, a key, a code or a secret.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self


class JmapProxyError(Exception):
    """Base of all errors that the program raises on purpose.

    Args:
        detail: What went wrong, one sentence, without secrets.
        hint: What mends it; names the command or the config key.
        retry_after: Seconds after which another try makes sense, None where it does not by itself.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.retry_after = retry_after

    def anew(self) -> Self:
        """The same error to be raised again: one object raised many times would collect every traceback."""
        twin = type(self).__new__(type(self), *self.args)
        vars(twin).update(vars(self))
        return twin

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem details object that a client gets."""
        problem: dict[str, Any] = {
            "type": f"urn:jmap-proxy:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            problem["hint"] = self.hint
        return problem

    def headers(self) -> dict[str, str]:
        """The header fields that belong to the answer (Retry-After in whole seconds, RFC 9110 §10.2.3)."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


class ConfigError(JmapProxyError):
    """The configuration file is missing or wrong; the message names the file and the key."""

    code = "config"
    title = "The configuration is wrong"
    exit_code = 78


class AddressTaken(ConfigError):
    """Somebody else listens on an address of the configuration; they may be gone soon, so it can be tried again."""

    code = "address"
    title = "The address is taken"
    exit_code = 75


class StoreError(JmapProxyError):
    """A file of the state folder is damaged, foreign, unreadable or open to others; it is left as it is."""

    code = "store"
    title = "The token store cannot be used"
    status = 503
    exit_code = 74


class ServiceError(JmapProxyError):
    """The platform's services (systemd, launchd) cannot be used, or a step with them failed."""

    code = "service"
    title = "The service cannot be set up"
    exit_code = 69


class WorkerError(JmapProxyError):
    """A process that serves has ended, or does not answer."""

    code = "worker"
    title = "A worker does not work"
    status = 503
    exit_code = 70

    def __init__(self, detail: str) -> None:
        super().__init__(detail, hint="see the log for what it said before", retry_after=1)


class ProviderError(JmapProxyError):
    """The identity provider cannot be reached or publishes metadata that cannot be trusted."""

    code = "provider"
    title = "The identity provider cannot be used"
    status = 503
    exit_code = 69


class AnswerLost(ProviderError):
    """The provider may have acted on a request, but its answer did not come whole."""

    code = "answer-lost"
    title = "The identity provider's answer was lost"


class DiscoveryError(JmapProxyError):
    """What a sign-in needs to know of the server was not found, or what was found cannot be used."""

    code = "discovery"
    title = "The server or its identity provider was not found"
    exit_code = 69


class ServerUnreachable(DiscoveryError):
    """No name, no connection, no TLS, no answer in time."""

    code = "server-unreachable"
    title = "The server cannot be reached"


class SignInError(JmapProxyError):
    """A sign-in did not succeed; nothing was saved."""

    code = "sign-in-failed"
    title = "The sign-in did not succeed"
    exit_code = 77


class WrongPerson(SignInError):
    """Somebody else signed in than was named; nothing was saved."""

    code = "wrong-person"
    title = "Somebody else signed in"


class TokenError(JmapProxyError):
    """No valid access token can be had, so the request is not forwarded."""

    status = 503


class SignInNeeded(TokenError):
    """The sign-in is gone (or never was) and only the user can renew it.

    503 and not 401: a 401 is only ever about the local key. No Retry-After: it does not mend itself.
    """

    code = "sign-in-needed"
    title = "A new sign-in is needed"
    exit_code = 77

    def __init__(self, account: str, reason: str) -> None:
        super().__init__(f"account {account!r}: {reason}", hint=f"run: jmap-proxy login {account}")


class TokenDelayed(TokenError):
    """The identity provider did not give a token in time; the proxy goes on trying."""

    code = "token-delayed"
    title = "The identity provider is not answering well"
    exit_code = 75


class ClientRefused(TokenError):
    """The identity provider does not accept the OAuth client or what it asks for; the tokens are kept."""

    code = "client-refused"
    title = "The identity provider does not accept the client"
    exit_code = 78

    def __init__(self, account: str, reason: str, *, retry_after: float, mend: str = "") -> None:
        super().__init__(
            f"account {account!r}: {reason}",
            hint=mend
            or "compare issuer, client_id, client_secret_file, scopes and resource with the provider's settings; "
            f"after a change of issuer or client_id run: jmap-proxy login {account}",
            retry_after=retry_after,
        )


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


class UpstreamError(JmapProxyError):
    """The JMAP server did something that the client cannot be given as it is."""

    code = "upstream"
    title = "The JMAP server did not answer well"
    status = 502
    exit_code = 69


class UpstreamUnreachable(UpstreamError):
    """No connection to the JMAP server, or it broke before an answer."""

    code = "upstream-unreachable"
    title = "The JMAP server cannot be reached"


class UpstreamBusy(UpstreamError):
    """The JMAP server cannot give its Session just now; carries Retry-After."""

    code = "upstream-busy"
    title = "The JMAP server is busy"
    status = 503
    exit_code = 75


class UpstreamSlow(UpstreamError):
    """The JMAP server did not answer in time; to ask again harms nothing, so it carries Retry-After."""

    code = "upstream-slow"
    title = "The JMAP server is slow"
    status = 503
    exit_code = 75

    def __init__(self, where: str, seconds: float) -> None:
        hint = "try again; limits.first_byte sets how long the proxy waits"
        super().__init__(f"{where} did not answer within {seconds:g} seconds", hint=hint, retry_after=2)


class UpstreamSilent(UpstreamError):
    """The JMAP server took a request that may change something, and said nothing.

    No Retry-After: a client that sent it again could do the same thing twice.
    """

    code = "upstream-silent"
    title = "The JMAP server took the request and did not answer"
    status = 504

    def __init__(self, where: str) -> None:
        detail = f"{where} did not answer; it may have carried out the request or not"
        super().__init__(detail, hint="see what has become of it before you send it again")


class UpstreamRefusedToken(UpstreamError):
    """The JMAP server answers 401 even to a fresh token; its challenge is not passed on."""

    code = "upstream-refused-token"
    title = "The JMAP server refuses the token"


class UpstreamOriginRefused(UpstreamError):
    """The JMAP server points to an origin that the account does not allow to get the token."""

    code = "upstream-origin-refused"
    title = "The JMAP server names an origin that may not get the token"


class UpstreamMalformed(UpstreamError):
    """The JMAP server's Session cannot be understood."""

    code = "upstream-malformed"
    title = "The JMAP server's answer is malformed"


class UpstreamSessionRefused(UpstreamMalformed):
    """The JMAP server answers the request for its Session with an error, such as 404 or 403."""

    def __init__(self, answered: int) -> None:
        detail = f"the server answers {answered} to the request for its Session"
        super().__init__(detail, hint="check the account's server")
        self.forbidden = answered == 403  # noqa: PLR2004 - the status of HTTP

"""Errors of the JMAP server, as the client is told of them."""

from __future__ import annotations

from jmap_proxy.errors.base import JmapProxyError


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

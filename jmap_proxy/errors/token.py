"""Errors for which there is no token to forward a request with."""

from __future__ import annotations

from jmap_proxy.errors.base import JmapProxyError


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

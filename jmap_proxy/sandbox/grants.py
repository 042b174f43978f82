"""Grants: what a user allowed a client, and the codes and tokens that stem from it.

Pure rules over values in memory: no HTTP, and the clock is an argument. Every method either commits fully or
raises `GrantError` with what the token endpoint should say.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.sandbox.provider_settings import ProviderSettings

CODE_LIFE = 60
"""Seconds that an authorization code lives (RFC 6749 §4.1.2 allows ten minutes)."""


class GrantError(Exception):
    """A token request that is refused.

    Args:
        code: The error code of RFC 6749 §5.2.
        description: What a developer should know.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


@dataclass
class Grant:
    """What a user allowed a client. Revoking it ends every token that stems from it.

    Attributes:
        user: Whose mail it is.
        scope: What was allowed, separated by blanks.
        nonce: For the ID token; empty if there was none.
        active: Whether it has not been revoked.
        client_id: Whom it was allowed to; empty for anybody.
        refreshable: Whether refresh tokens stem from it.
    """

    user: str
    scope: str
    nonce: str = ""
    active: bool = True
    client_id: str = ""
    refreshable: bool = True

    def belongs_to(self, client_id: str) -> bool:
        """Whether it was allowed to this client; an empty id is any client's."""
        return self.client_id == client_id or not (self.client_id and client_id)


@dataclass(frozen=True)
class Issued:
    """The tokens of one answer.

    Attributes:
        grant: What they stem from.
        access_token: Opaque.
        refresh_token: Opaque; empty if the answer holds none.
        life: Seconds that the access token lives.
        nonce: The nonce for the ID token; empty after a refresh.
    """

    grant: Grant
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    life: float
    nonce: str = field(default="", repr=False)


@dataclass(frozen=True)
class CodeRequest:
    """What an authorization code is bound to (RFC 6749 §4.1.3, RFC 7636 §4.4)."""

    grant: Grant
    redirect_uri: str
    challenge: str = field(repr=False)


@dataclass
class _Code:
    request: CodeRequest
    expires_at: float
    spent: bool = False


@dataclass
class _Refresh:
    grant: Grant
    spent_at: float = 0
    successor: Issued | None = None


@dataclass
class _Access:
    grant: Grant
    expires_at: float


class Grants:
    """Every code and token of one identity provider.

    Args:
        settings: Lifetimes, rotation and reuse rules, read anew at each use.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(self, settings: ProviderSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._grants: list[Grant] = []
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, _Refresh] = {}
        self._access: dict[str, _Access] = {}

    def issue_code(self, request: CodeRequest) -> str:
        """A fresh authorization code for what the user allowed."""
        code = secrets.token_urlsafe(32)
        self._grants.append(request.grant)
        self._codes[code] = _Code(request, self._clock() + CODE_LIFE)
        return code

    def redeem(self, code: str, *, redirect_uri: str, verifier: str, client_id: str = "") -> Issued:
        """Exchange a code for tokens. A code used twice revokes its grant (RFC 6749 §4.1.2).

        Args:
            code: The code.
            redirect_uri: That of the authorization request.
            verifier: The PKCE verifier.
            client_id: Who asks; empty if nobody knows.

        Raises:
            GrantError: `invalid_grant`, with nothing issued.
        """
        known = self._codes.get(code)
        if known is None or not known.request.grant.belongs_to(client_id):
            raise GrantError("invalid_grant", "the code is unknown")
        if known.spent:
            known.request.grant.active = False
            raise GrantError("invalid_grant", "the code was used before")
        if self._clock() >= known.expires_at:
            raise GrantError("invalid_grant", "the code has expired")
        if redirect_uri != known.request.redirect_uri:
            raise GrantError("invalid_grant", "redirect_uri is not the one of the authorization request")
        if challenge_of(verifier) != known.request.challenge:
            raise GrantError("invalid_grant", "code_verifier does not match")
        known.spent = True
        grant = known.request.grant
        return self._issue(grant, self._new_refresh_token(grant), nonce=grant.nonce)

    def refresh(self, token: str, *, client_id: str = "") -> Issued:
        """Exchange a refresh token for tokens, with rotation if the settings say so (RFC 6749 §6).

        Args:
            token: The refresh token.
            client_id: Who asks; empty if nobody knows.

        Raises:
            GrantError: `invalid_grant`; reuse of a spent token may also have revoked the grant.
        """
        known = self._refresh.get(token)
        if known is None or not known.grant.active or not known.grant.belongs_to(client_id):
            raise GrantError("invalid_grant", "the refresh token is unknown or revoked")
        if known.successor is not None:
            return self._replay(known, known.successor)
        if not self._settings.rotate:
            return self._issue(known.grant, "")
        known.spent_at = self._clock()
        known.successor = self._issue(known.grant, self._new_refresh_token(known.grant))
        return known.successor

    def issue(self, grant: Grant, *, refreshable: bool = True) -> Issued:
        """Tokens for a grant that needed no code: of a device (RFC 8628 §3.5), or a client's own (RFC 6749 §4.4.3).

        Args:
            grant: What was allowed.
            refreshable: Whether there is a refresh token among them.
        """
        self._grants.append(grant)
        return self._issue(grant, self._new_refresh_token(grant) if refreshable else "")

    def check(self, access_token: str) -> str | None:
        """The user of an access token, None if it is unknown, expired or revoked."""
        known = self._access.get(access_token)
        if known is None or not known.grant.active or self._clock() >= known.expires_at:
            return None
        return known.grant.user

    def revoke(self, token: str, *, client_id: str = "") -> None:
        """Revoke a token (RFC 7009 §2.1): a refresh token ends its grant, an access token only itself.

        Args:
            token: The token; nothing happens to another client's.
            client_id: Who asks; empty if nobody knows.
        """
        refresh, access = self._refresh.get(token), self._access.get(token)
        if refresh is not None and refresh.grant.belongs_to(client_id):
            refresh.grant.active = False
        if access is not None and access.grant.belongs_to(client_id):
            del self._access[token]

    def revoke_access_tokens(self) -> None:
        """Revoke every access token so far; the grants live on."""
        self._access.clear()

    def revoke_all(self) -> None:
        """Revoke every grant, and with it every code and token so far."""
        for grant in self._grants:
            grant.active = False
        self._codes.clear()

    def _replay(self, known: _Refresh, successor: Issued) -> Issued:
        if self._clock() < known.spent_at + self._settings.grace:
            return successor
        if self._settings.revoke_on_reuse:
            known.grant.active = False
        raise GrantError("invalid_grant", "the refresh token was used before")

    def _new_refresh_token(self, grant: Grant) -> str:
        if not (self._settings.refresh_tokens and grant.refreshable):
            return ""
        token = secrets.token_urlsafe(32)
        self._refresh[token] = _Refresh(grant)
        return token

    def _issue(self, grant: Grant, refresh_token: str, *, nonce: str = "") -> Issued:
        token, life = secrets.token_urlsafe(32), self._settings.access_token_life
        self._access[token] = _Access(grant, self._clock() + life)
        return Issued(grant, token, refresh_token, life, nonce)


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

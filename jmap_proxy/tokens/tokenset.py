"""The tokens of one account at one moment: a value, with absolute times, that never shows its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from jmap_proxy.tokens.registration import Registration  # noqa: TC001 - msgspec reads the annotation below

if TYPE_CHECKING:
    from jmap_proxy.tokens.outcome import Refreshed

SCHEMA_VERSION = 4


class TokenSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of an account's tokens; this is also the stored form.

    Attributes:
        account: Name of the account in the configuration.
        issuer: The provider that gave the tokens; a refresh token is sent to no other.
        client_id: The client that they were given to (RFC 6749 §2.2).
        registration: That client, if it was registered for this account (RFC 7591); None if the configuration names it.
        grant_type: How the next generation is asked for (RFC 6749 §6 and §4.4).
        resource: What they were asked for (RFC 8707), "" if that was left out.
        access_token: Goes to the JMAP server.
        refresh_token: Goes to the provider's token endpoint; "" if there is none.
        scope: Space-separated scope as granted, as far as the provider told.
        subject: `sub` of the ID token, "" if there was none.
        username: Of the server's Session at the sign-in (RFC 8620 §2), "" if it told none.
        sign_in_id: Random, the same for all generations of one sign-in.
        signed_in_at: Epoch seconds of the sign-in, 0 if that is not known.
        rotation: Whether the provider gives a new refresh token at a refresh (RFC 6749 §6), as far as was seen.
        generation: 1 at the sign-in, one more with each refresh.
        obtained_at: Epoch seconds at which the tokens were asked for.
        expires_at: Epoch seconds at which the access token expires.
        schema_version: Version of this form.
    """

    account: str
    issuer: str
    client_id: str
    registration: Registration | None = None
    grant_type: Literal["refresh_token", "client_credentials"] = "refresh_token"
    resource: str = ""
    access_token: str
    refresh_token: str
    scope: str = ""
    subject: str = ""
    username: str = ""
    sign_in_id: str
    signed_in_at: float = 0.0
    rotation: Literal["unknown", "yes", "no"] = "unknown"
    generation: int
    obtained_at: float
    expires_at: float
    schema_version: int = SCHEMA_VERSION

    @property
    def renewable(self) -> bool:
        """Whether there is something to ask for the next generation with."""
        return bool(self.refresh_token) or self.grant_type == "client_credentials"

    def renewed(self, answer: Refreshed, *, obtained_at: float) -> TokenSet:
        """The next generation; a refresh token that the provider did not rotate is kept (RFC 6749 §6)."""
        refresh_token = answer.refresh_token or self.refresh_token
        registration = answer.registration or self.registration
        return msgspec.structs.replace(
            self,
            client_id=answer.registration.client_id if answer.registration else self.client_id,
            registration=registration,
            access_token=answer.access_token,
            refresh_token=refresh_token,
            rotation=_rotation(self.rotation, rotated=refresh_token != self.refresh_token),
            scope=answer.scope or self.scope,
            generation=self.generation + 1,
            obtained_at=obtained_at,
            expires_at=obtained_at + answer.life,
        )

    def supersedes(self, other: TokenSet | None) -> bool:
        """Whether this is a later generation than `other`, or comes from another sign-in."""
        return other is None or self.sign_in_id != other.sign_in_id or self.generation > other.generation

    def __repr__(self) -> str:
        return f"TokenSet(account={self.account!r}, generation={self.generation}, expires_at={self.expires_at})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("account", self.account), ("generation", self.generation), ("expires_at", self.expires_at)]


def _rotation(before: str, *, rotated: bool) -> Literal["yes", "no"]:
    """What is known of the provider now. Some rotate only now and then (measured: Stalwart, in the last four days)."""
    return "yes" if rotated or before == "yes" else "no"
